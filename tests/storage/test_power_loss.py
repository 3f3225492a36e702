"""Power loss: the end of the write-ahead log that was never synced is cut off or garbage; what was acknowledged is there."""

import random
from pathlib import Path

from modules.core.requests import ImageRequest
from modules.storage import jobs
from modules.storage.backends.sqlite import connect

JOB = {"kind": "image", "request": ImageRequest(), "owner": "", "label": "", "created": 0.0, "images": 1}


def snapshot(folder: Path, database: bytes, log: bytes) -> str:
    """Database and log as a machine finds them after the power came back; answers the URL."""
    folder.mkdir()
    (folder / "a.sqlite3").write_bytes(database)
    (folder / "a.sqlite3-wal").write_bytes(log)
    return f"sqlite:///{folder / 'a.sqlite3'}"


def test_acknowledged_jobs_survive(tmp_path):
    """Row 6."""
    path, dice = tmp_path / "a.sqlite3", random.Random(6)
    log_file = path.with_name("a.sqlite3-wal")
    store = connect(f"sqlite:///{path}")
    for number in range(30):
        with store.write() as connection:
            jobs.add(connection, id=f"acknowledged {number}", **JOB)
        synced = log_file.stat().st_size
        with store.write(durable=False) as connection:
            jobs.add(connection, id=f"not synced {number}", **JOB)
        log = log_file.read_bytes()
        cut = dice.randrange(synced, len(log) + 1)
        url = snapshot(tmp_path / str(number), path.read_bytes(), log[:cut] + dice.randbytes(dice.randrange(5000)))
        found = connect(url)
        with found.read() as connection:
            ids = {job.id for job in jobs.in_state(connection, "waiting")}
        found.close()
        assert not found.notice
        assert {f"acknowledged {one}" for one in range(number + 1)} <= ids
    store.close()
