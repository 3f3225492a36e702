"""SQLite: one file beside the pictures. WAL so that readers never wait; sqlite.org/wal.html, sqlite.org/pragma.html."""

import logging
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError

from modules.core.errors import StorageFailed
from modules.core.extension_points import StorageBackend, hookimpl
from modules.storage.migration import migrate
from modules.storage.store import Store

log = logging.getLogger(__name__)

BUSY_SECONDS = 5.0  # how long to wait for another program that holds the database
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
NOT_THE_FILES_FAULT = tuple(
    f"SQLITE_{one}" for one in ("BUSY", "LOCKED", "CANTOPEN", "PERM", "READONLY", "IOERR", "FULL", "NOMEM")
)


def connect(url: str) -> Store:
    """Open `sqlite:///<path>`, checked and migrated.

    A corrupt file is set aside, never deleted, and a new one is begun; the store's notice says so.
    Raises StorageFailed when the folder cannot be written or the file is of a newer version.
    """
    path = Path(make_url(url).database or "")
    _make_folder(path.parent)
    notice = "" if _sound(path) else _set_aside(path)
    try:
        return _opened(url, path, notice)
    except DatabaseError as error:
        if getattr(error.orig, "sqlite_errorname", "") not in DAMAGED:
            raise StorageFailed(f"the database {path.name} could not be opened: {error.orig}") from error
    return _opened(url, path, _set_aside(path))


def _opened(url: str, path: Path, notice: str) -> Store:
    engine = _engine(url)
    try:
        migrate(engine, path)
    except BaseException:
        engine.dispose()
        raise
    return Store(engine, notice)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(f"the folder {folder} cannot be made: {error.strerror}; see --data-dir.") from error


def _sound(path: Path) -> bool:
    """Whether SQLite finds nothing wrong with the file. A missing file is sound."""
    if not path.exists():
        return True
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            connection.text_factory = bytes
            return connection.execute("PRAGMA quick_check(1)").fetchone() == (b"ok",)
    except UnicodeDecodeError:  # the module decodes SQLite's message, which quotes the damaged bytes
        return False
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname.startswith(NOT_THE_FILES_FAULT):
            raise StorageFailed(f"the database {path.name} could not be opened: {error}") from error
        return False


def _set_aside(path: Path) -> str:
    new_name = f"{path.name}.corrupt-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    for ending in ("", "-wal", "-shm"):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(path.with_name(new_name + ending))
    notice = f"The database was damaged. It is kept as {new_name}; queue and history start anew. No picture is lost."
    log.error(notice)
    return notice


def _engine(url: str) -> Engine:
    engine = create_engine(url, pool_size=8, max_overflow=24, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(driver: sqlite3.Connection, _record: Any) -> None:
    driver.isolation_level = None  # the driver must not begin or end transactions by itself; `_begin` does
    driver.text_factory = _text
    for pragma in (f"busy_timeout={int(BUSY_SECONDS * 1000)}", "journal_mode=WAL", "synchronous=FULL"):
        driver.execute(f"PRAGMA {pragma}")


def _text(content: bytes) -> str:
    """Text of a row; a damaged one must not keep the others from being read."""
    return content.decode(errors="replace")


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    level = "FULL" if options.get("durable", True) else "NORMAL"
    connection.exec_driver_sql(f"PRAGMA synchronous={level}")
    # IMMEDIATE: a reader that becomes a writer would fail with SQLITE_BUSY instead of waiting.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes", True) else "BEGIN")


@hookimpl
def register_storage_backends() -> list[StorageBackend]:
    """The backend that needs no server."""
    return [StorageBackend(name="SQLite", connect=connect)]
