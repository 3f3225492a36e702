"""One server per data directory. The operating system frees the lock when its holder dies, however it dies."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from modules.core.errors import DataDirectoryInUse, StorageFailed


@contextmanager
def held(path: Path) -> Generator[None, None, None]:
    """Hold the lock file, with our pid in it. Raises DataDirectoryInUse naming the pid of the server that holds it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise StorageFailed(
            f"{path.parent} cannot be written: {error.strerror}; choose another folder with --data-dir."
        ) from error
    with file:
        try:
            _lock(file)
        except OSError as error:
            raise DataDirectoryInUse(_who(path)) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _who(path: Path) -> str:
    pid = path.read_text().strip() or "unknown"
    return (
        f"another server (process {pid}) works on {path.parent.parent}; "
        "use that one, stop it, or choose another folder with --data-dir."
    )


def _lock(file: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(1 << 20)  # beyond the pid: what is locked cannot be read there
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        return
    import fcntl

    fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
