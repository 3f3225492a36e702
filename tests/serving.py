"""A real server: `app.py` in a process of its own, on a free port, with a data directory of its own."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]


class Server:
    """A started server; `address` answers as soon as the constructor is through."""

    def __init__(self, data_dir, *flags, wait=True):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.data_dir = Path(data_dir)
        self.log = self.data_dir / "server.log"
        command = [sys.executable, ROOT / "app.py", "--port", str(self.port), "--data-dir", data_dir, *flags]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, cwd="/", stdout=log, stderr=log, env=os.environ)
        if wait:
            self.wait_until_up()

    def wait_until_up(self, seconds=120):
        wait_for(lambda: self.process.poll() is not None or self.answers("/internal/ping"), seconds, self.log)
        assert self.process.poll() is None, self.log.read_text()

    def answers(self, path):
        try:
            self.get(path, timeout=2)
        except (urllib.error.URLError, OSError):
            return False
        return True

    def get(self, path, timeout=60):
        with urllib.request.urlopen(self.address + path, timeout=timeout) as answer:
            return json.load(answer)

    def post(self, path, body, timeout=280):
        request = urllib.request.Request(
            self.address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.load(answer)

    def accept(self, body):
        """Hand a request in and go away as soon as it is in the queue; answers the job's id."""
        before = self.known_jobs()
        threading.Thread(target=self._ask_and_forget, args=(body,), daemon=True).start()
        wait_for(lambda: self.known_jobs() - before, 60, self.log)
        (job,) = self.known_jobs() - before
        return job

    def known_jobs(self):
        """The ids of all jobs the server knows."""
        return {job["id"] for job in self.get("/api/v1/jobs?recent=100")}

    def _ask_and_forget(self, body):
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.post("/sdapi/v1/txt2img", body)

    def job(self, job):
        """The job as it is now."""
        return self.get(f"/api/v1/jobs/{job}")

    def engines(self):
        """The engine processes of this server."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def wait_until_ready(self, seconds=180):
        """Until an engine can draw."""
        wait_for(
            lambda: any(one["state"] == "ready" for one in self.get("/api/v1/engines")["engines"]), seconds, self.log
        )

    def stop(self, sent=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(sent)
        return self.process.wait(timeout=60)


def wait_for(condition, seconds, log=None):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, log.read_text() if log else "it did not happen"
        time.sleep(0.05)
