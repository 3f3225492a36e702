"""SHA-256 of model files: computed once for a path, size and time of change, and kept in a file."""

import hashlib
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modules.core.errors import InvalidModelFile, StorageFailed
from modules.core.files import write_atomically
from modules.core.nethash import short_hash

log = logging.getLogger(__name__)

BLOCK = 4 << 20


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """What tells that a file is the one seen before."""

    path: str
    size: int
    modified: int


def stamp(path: Path) -> Stamp:
    """The stamp of a file as it is now; of a folder: all its files' sizes and the latest change. Raises OSError."""
    if not path.is_dir():
        found = path.stat()
        return Stamp(path=str(path), size=found.st_size, modified=found.st_mtime_ns)
    inside = [one.stat() for one in path.rglob("*") if one.is_file()]
    latest = max((one.st_mtime_ns for one in inside), default=0)
    return Stamp(path=str(path), size=sum(one.st_size for one in inside), modified=latest)


class Hashes:
    """Digests by stamp. Safe from any thread. `digest(path, stopped)` computes one in hexadecimal, "" when stopped."""

    def __init__(self, file: Path, digest: Callable[[Path, Callable[[], bool]], str]) -> None:
        self._file, self._digest = file, digest
        self._lock = threading.Lock()
        self._known: dict[Stamp, str] = _read(file)

    def known(self, of: Stamp) -> str:
        """The digest, "" while it is not known."""
        return self._known.get(of, "")

    def find(self, of: Stamp, stopped: Callable[[], bool]) -> str:
        """The digest, computed if need be; "" when it was stopped or the file is another one by now."""
        path = Path(of.path)
        try:
            digest = self.known(of) or self._digest(path, stopped)
            if digest and stamp(path) == of:  # else it was replaced while it was read
                self._remember(of, digest)
        except (OSError, StorageFailed, InvalidModelFile) as error:
            log.warning("the hash of %r could not be kept: %s", path.name, error)
        return self.known(of)

    def _remember(self, of: Stamp, digest: str) -> None:
        with self._lock:
            if self._known.get(of) == digest:
                return
            self._known[of] = digest
            listed = [[one.path, one.size, one.modified, value] for one, value in self._known.items()]
            write_atomically(self._file, json.dumps(listed).encode())


def sha256(path: Path, stopped: Callable[[], bool] = lambda: False) -> str:
    """Of a whole file, or of the names and contents of a folder's files."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    for one in files:
        if one != path:
            digest.update(one.relative_to(path).as_posix().encode())
        with one.open("rb", buffering=0) as file:
            while block := file.read(BLOCK):
                if stopped():
                    return ""
                digest.update(block)
    return digest.hexdigest()


def lora_hash(path: Path, stopped: Callable[[], bool] = lambda: False) -> str:
    """The hash that picture texts use for a LoRA."""
    return short_hash(path, "lora")


def _read(file: Path) -> dict[Stamp, str]:
    try:
        listed = json.loads(file.read_bytes())
        return {Stamp(path=path, size=size, modified=time): digest for path, size, time, digest in listed}
    except (OSError, ValueError, TypeError, RecursionError):
        return {}
