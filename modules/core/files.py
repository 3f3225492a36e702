"""Files that are whole or not there, and paths that stay inside their folder."""

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from modules.core.errors import NotFound, StorageFailed

TEMPORARY = ".atelier-part"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that after a crash at any moment the old one or the new one is there, never a part.

    Raises StorageFailed when the disk does not take it. Follows Linux's rules: write, fsync, rename, fsync the folder.
    """
    part = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_and_sync(part, content)
        os.replace(part, path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):  # a disk that fails may refuse this too; what is left is removed at the next start
            part.unlink(missing_ok=True)
        raise StorageFailed(f"{path.name} could not be written: {error.strerror or error}") from error


def _write_and_sync(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename or a new file inside a folder durable."""
    if os.name == "nt":
        return  # a folder cannot be opened there; NTFS journals renames itself
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def leftovers(folder: Path) -> Iterator[Path]:
    """Parts of files that a crash left behind; to be removed at start."""
    yield from folder.rglob(f".*{TEMPORARY}")


def inside(root: Path, name: str) -> Path:
    """The existing path `name` below `root`. Raises NotFound for anything that leads out of it, links included."""
    try:
        found = (root / name).resolve(strict=True)
        inside_root = found.is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):
        inside_root = False
        found = root
    if not inside_root:
        raise NotFound(f"there is no file {name[:80]!r}")
    return found
