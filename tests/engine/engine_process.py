"""A real engine process over pipes, as the web process starts it, with a real small model."""

import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from modules.core import events
from modules.core.flags import ROOT
from modules.core.requests import EditRequest, ImageRequest, ModelRecord
from modules.core.wire import read_message, write_message

PATIENCE = 120


class Engine:
    """An engine process and what it has said. Its thread reads, so that a full pipe blocks nobody."""

    def __init__(self, options: events.EngineOptions | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "modules.engine_main"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.said: SimpleQueue[Any] = SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self.send(options or events.EngineOptions(device="cpu", name="cpu", threads=1))
        self.ready: events.EngineReady = self.next(events.EngineReady)

    def _read(self) -> None:
        assert self.process.stdout
        try:
            while True:
                self.said.put(read_message(self.process.stdout))
        except (EOFError, ValueError):
            self.said.put(None)

    def send(self, message: Any) -> None:
        assert self.process.stdin
        write_message(self.process.stdin, message)

    def next(self, *kinds: type) -> Any:
        """The next message of one of these kinds (any when none is named); others are passed over."""
        while True:
            try:
                message = self.said.get(timeout=PATIENCE)
            except Empty:
                pytest.fail(f"the engine said nothing for {PATIENCE} s")
            if message is None:
                pytest.fail(f"the engine ended while {kinds} was awaited")
            if not kinds or isinstance(message, kinds):
                return message

    def until_over(self) -> list[Any]:
        """All messages up to the end of the job."""
        heard = [self.next()]
        while not isinstance(heard[-1], events.Finished | events.Failed):
            heard.append(self.next())
        return heard

    def draw(self, request: ImageRequest, record: ModelRecord, **known: Any) -> list[Any]:
        """Run a request; all messages up to its end."""
        kind = "edit" if isinstance(request, EditRequest) else "image"
        self.send(events.RunJob(job="job", kind=kind, request=request, **({"models": (record,)} | known)))
        return self.until_over()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()


def pictures(heard: list[Any]) -> list[events.ImageReady]:
    return [message for message in heard if isinstance(message, events.ImageReady)]


def record_of(path: Path) -> ModelRecord:
    stat = path.stat() if path.exists() else None
    size, modified = (stat.st_size, stat.st_mtime_ns) if stat else (0, 0)
    return ModelRecord(name=path.stem, path=str(path), title=path.name, size=size, modified=modified)
