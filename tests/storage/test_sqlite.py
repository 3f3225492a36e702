"""Opening the file: fresh, corrupt, of a newer version, locked by somebody else."""

import random
import sqlite3
import threading
import time

import pytest
from sqlalchemy import text

from modules.core.errors import StorageFailed
from modules.core.plugins import Plugins
from modules.core.requests import ImageRequest
from modules.storage import jobs
from modules.storage.backends import sqlite
from modules.storage.backends.sqlite import connect

JOB = {"kind": "image", "request": ImageRequest(), "owner": "", "label": "", "created": 0.0, "images": 1}


def test_it_is_found_through_the_door(url):
    plugins = Plugins("web")
    plugins.add_package("modules.storage.backends")
    plugins.collect("register_storage_backends").find("sqlite").connect(url).close()


def test_writes_are_durable_unless_said_otherwise(store):
    with store.write() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    with store.write(durable=False) as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 1  # NORMAL


def test_a_block_is_all_or_nothing(store):
    def fail_half_way() -> None:
        with store.write() as connection:
            jobs.add(connection, id="half", **JOB)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    with store.read() as connection:
        assert jobs.find(connection, "half") is None


def test_readers_do_not_wait_for_a_writer(store):
    with store.write() as writing:
        jobs.add(writing, id="new", **JOB)
        with store.read() as reading:
            assert jobs.find(reading, "new") is None
    with store.read() as reading:
        assert jobs.find(reading, "new") is not None


def test_many_threads_write(store):
    def add(number: int) -> None:
        with store.write(durable=False) as connection:
            jobs.add(connection, id=f"job {number}", **JOB)

    threads = [threading.Thread(target=add, args=[number]) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as connection:
        found = jobs.in_state(connection, "waiting")
    assert len(found) == 50
    assert [job.number for job in found] == sorted(job.number for job in found)


def test_locked_by_somebody_else(store, path, monkeypatch):
    """Row 46: a sentence after the busy timeout, and it works within a second after the release."""
    with store.write() as connection:
        connection.execute(text("PRAGMA busy_timeout=100"))  # the one pooled connection of this test
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageFailed, match="database is locked"), store.write() as connection:
        pass
    other.execute("ROLLBACK")
    other.close()
    before = time.monotonic()
    with store.write() as connection:
        jobs.add(connection, id="after", **JOB)
    assert time.monotonic() - before < 1


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match="--data-dir"):
        connect(f"sqlite:///{tmp_path / 'file' / 'outputs' / 'atelier.sqlite3'}")


def damaged(content: bytes, kind: str, dice: random.Random) -> bytes:
    if kind == "truncated":
        return content[: dice.randrange(1, len(content) - 4096)]
    if kind == "zeroed":
        page = dice.randrange(len(content) // 4096) * 4096
        return content[:page] + bytes(4096) + content[page + 4096 :]
    if kind == "no database":
        return b"<html>not found</html>" * 1000
    spoiled = bytearray(content)
    for _ in range(2000):
        spoiled[dice.randrange(len(spoiled))] ^= 1 << dice.randrange(8)
    return bytes(spoiled)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> bytes:
    """A database file with 300 jobs."""
    path = tmp_path_factory.mktemp("sound") / "atelier.sqlite3"
    store = connect(f"sqlite:///{path}")
    with store.write() as connection:
        for number in range(300):
            jobs.add(connection, id=f"job {number}", **JOB)
    store.close()
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["truncated", "zeroed", "no database", "bits flipped"])
@pytest.mark.parametrize("case", range(5))
def test_a_corrupt_file_is_set_aside(url, path, sound, kind, case):
    """Row 47: the start succeeds, what was there is kept, and it is said."""
    path.parent.mkdir()
    spoiled = damaged(sound, kind, random.Random(f"{kind} {case}"))
    path.write_bytes(spoiled)
    again = connect(url)
    with again.write() as connection:
        jobs.add(connection, id="works", **JOB)
    kept = list(path.parent.glob("atelier.sqlite3.corrupt-*"))
    assert [file.read_bytes() for file in kept] == ([spoiled] if again.notice else [])
    assert bool(again.notice) == bool(kept)
    if kind != "bits flipped" and kind != "zeroed":
        assert kept[0].name in again.notice
    again.close()


def test_an_empty_file_is_a_new_database(url, path):
    path.parent.mkdir()
    path.touch()
    connect(url).close()


def test_a_newer_schema_is_refused(url, path):
    """Row 48: with a sentence that says what to do; nothing is changed."""
    connect(url).close()
    with sqlite3.connect(path) as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StorageFailed, match=r"newer Atelier \(schema 9999.*--data-dir"):
        connect(url)
    assert path.read_bytes() == before


def test_the_start_of_a_current_database_needs_no_alembic(url, monkeypatch):
    connect(url).close()
    monkeypatch.setitem(__import__("sys").modules, "alembic", None)  # importing it would fail
    connect(url).close()


def test_the_busy_timeout_is_shorter_than_a_client_waits():
    assert 1 <= sqlite.BUSY_SECONDS <= 10
