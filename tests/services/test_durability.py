"""Kill the whole server at any moment: what it has acknowledged is there, once, and nothing of it lives on."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

from services.small_things import TINY_ENGINE, eventually, gone, web_plugins, write_checkpoint

from modules.core.flags import ROOT
from modules.services.build import open_studio

KILLS = 15
SUBMITTER = (sys.executable, str(Path(__file__).with_name("submitter.py")))


def run_and_kill(data: Path, after: float) -> tuple[int, list[str]]:
    """Let a server run until it has accepted a job and then some seconds; answers its engine's pid and the jobs' ids."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    process = subprocess.Popen([*SUBMITTER, str(data)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    lines = [process.stdout.readline(), process.stdout.readline()]
    threading.Timer(after, process.send_signal, [signal.SIGKILL]).start()
    lines += process.stdout.readlines()
    process.wait()
    words = [line.split() for line in lines if line.endswith("\n")]
    return int(words[0][1]), [word[1] for word in words[1:]]


def test_kill_9_of_the_server(flags, places):
    """Row 2: 0 acknowledged jobs lost, the database sound, no engine left over; then all are done, each picture once."""
    write_checkpoint(places.models / "Stable-diffusion" / "tiny.safetensors", side=200)
    dice, accepted = random.Random(2), []
    for _ in range(KILLS):
        engine, jobs = run_and_kill(places.data, dice.uniform(0, 0.15))
        eventually(lambda pid=engine: gone(pid), seconds=20)
        accepted += jobs
    assert len(accepted) >= KILLS
    check = sqlite3.connect(places.database)
    assert check.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    stored = {id for (id,) in check.execute("SELECT id FROM jobs")}
    check.close()
    assert set(accepted) <= stored
    with open_studio(flags, places, web_plugins(), engine_command=TINY_ENGINE) as studio:
        assert {studio.watch.wait(id, 60).state for id in accepted} == {"done"}
        eventually(lambda: studio.queue.jobs(states=("waiting", "running")) == ())
        paths = [one.path for job in stored for one in studio.gallery.pictures(job=job)]
    on_disk = [path.relative_to(places.outputs).as_posix() for path in places.pictures.rglob("*.*")]
    assert len(paths) == len(stored)
    assert sorted(on_disk) == sorted(paths)


def test_kill_9_comes_back_quickly(flags, places):
    write_checkpoint(places.models / "Stable-diffusion" / "tiny.safetensors", side=200)
    run_and_kill(places.data, 0.1)
    before = time.monotonic()
    with open_studio(flags, places, web_plugins(), engine_command=TINY_ENGINE):
        assert time.monotonic() - before < 10
