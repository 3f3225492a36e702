"""Models on disk: which there are, what their headers say, and their SHA-256. No tensor is read."""

import hashlib
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modules.core.errors import InvalidModelFile, StorageFailed, UnknownName
from modules.core.files import write_atomically
from modules.core.named import closest, folded
from modules.core.places import Places
from modules.core.requests import ModelRecord
from modules.core.tensorfile import read_header

log = logging.getLogger(__name__)

ENDINGS = (".safetensors", ".ckpt")
AT_ONCE_BYTES = 256 << 20  # files up to this size are hashed before they draw; larger ones meanwhile
BLOCK = 4 << 20
RESOLUTION = re.compile(r"\s*(\d{2,4})\s*x\s*(\d{2,4})\s*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class _Stamp:
    """What tells that a file is the one seen before."""

    path: str
    size: int
    modified: int


class Library:
    """The checkpoints below the model folders. Safe from any thread; `models` answers from memory.

    A file that cannot be used is listed with the reason in `problem`.
    """

    def __init__(self, places: Places, hashes: Path) -> None:
        self._places = places
        self._hash_file = hashes
        self._lock = threading.RLock()
        self._headers: dict[_Stamp, ModelRecord] = {}
        self._hashes = _read_hashes(hashes)
        self._records: tuple[ModelRecord, ...] = ()
        self._closing = threading.Event()
        self._work = threading.Event()
        self._thread: threading.Thread | None = None
        self.refresh()

    # -- looking up --------------------------------------------------------------------------------------------------

    def models(self) -> tuple[ModelRecord, ...]:
        """All checkpoints of the last scan: --ckpt first, then by folder and name."""
        with self._lock:
            return tuple(self._with_known_hash(record) for record in self._records)

    def find(self, name: str) -> ModelRecord:
        """By title, file name, name without extension, short hash or SHA-256; the first of several.

        Raises UnknownName with a suggestion.
        """
        models = self.models()
        for matches in (_exactly, _loosely, _ignoring_hash):
            for record in models:
                if matches(name, record):
                    return record
        raise UnknownName("model", name, closest(name, [alias for one in models for alias in _aliases(one)]))

    def refresh(self) -> tuple[ModelRecord, ...]:
        """Scan the folders again."""
        records = tuple(self._record(root, path) for root, path in self._files())
        with self._lock:
            self._records = records
        self._work.set()
        return self.models()

    # -- hashing -----------------------------------------------------------------------------------------------------

    def with_hash(self, record: ModelRecord) -> ModelRecord:
        """The record with its SHA-256 when that is known or quickly found, else as it is."""
        known = self._with_known_hash(record)
        if known.sha256 or record.problem or record.size > AT_ONCE_BYTES:
            return known
        self._hash(record)
        return self._with_known_hash(record)

    def start_hashing(self) -> None:
        """Hash all files in the background, small ones first."""
        self._thread = threading.Thread(target=self._hash_all, name="hashing", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop hashing."""
        self._closing.set()
        self._work.set()
        if self._thread:
            self._thread.join()

    def _hash_all(self) -> None:
        while not self._closing.is_set():
            self._work.wait()
            self._work.clear()
            for record in sorted(self.models(), key=lambda one: one.size):
                if not (self._closing.is_set() or record.sha256 or record.problem):
                    self._hash(record)

    def _hash(self, record: ModelRecord) -> None:
        path = Path(record.path)
        try:
            digest = _sha256(path, self._closing.is_set)
            if digest and _stamp(path) == _stamp_of(record):  # else it was replaced while it was read
                self._remember(_stamp_of(record), digest)
        except (OSError, StorageFailed) as error:
            log.warning("the SHA-256 of %r could not be kept: %s", path.name, error)

    def _remember(self, stamp: _Stamp, digest: str) -> None:
        with self._lock:
            self._hashes[stamp] = digest
            listed = [[one.path, one.size, one.modified, sha256] for one, sha256 in self._hashes.items()]
        write_atomically(self._hash_file, json.dumps(listed).encode())

    def _with_known_hash(self, record: ModelRecord) -> ModelRecord:
        sha256 = self._hashes.get(_stamp_of(record), "")
        if sha256 == record.sha256:
            return record
        return replace(record, sha256=sha256, title=f"{record.title} [{sha256[:10]}]")

    # -- scanning ----------------------------------------------------------------------------------------------------

    def _files(self) -> Iterator[tuple[Path, Path]]:
        """(root, file) of every checkpoint, each file once."""
        seen: set[Path] = set()
        for root, path in self._candidates():
            real = path.resolve()
            if real not in seen and path.is_file():
                seen.add(real)
                yield root, path

    def _candidates(self) -> Iterator[tuple[Path, Path]]:
        if self._places.checkpoint:
            yield self._places.checkpoint.parent, self._places.checkpoint
        for root in self._places.checkpoint_folders:
            paths = (Path(folder, name) for folder, _, names in os.walk(root) for name in names)
            for path in sorted(paths, key=lambda path: str(path.relative_to(root)).casefold()):
                if path.suffix.casefold() in ENDINGS and not path.name.startswith("."):
                    yield root, path

    def _record(self, root: Path, path: Path) -> ModelRecord:
        relative = path.relative_to(root)
        named: dict[str, Any] = {
            "name": _readable(relative.with_suffix("")),
            "title": _readable(relative),
            "path": str(path),
        }
        try:
            stamp = _stamp(path)
        except OSError as error:
            return ModelRecord(**named, size=0, modified=0, problem=f"{path.name} could not be read: {error.strerror}.")
        if stamp not in self._headers:
            self._headers[stamp] = _described(
                ModelRecord(name="", path="", title="", size=stamp.size, modified=stamp.modified), path
            )
        return replace(self._headers[stamp], **named)


def _described(record: ModelRecord, path: Path) -> ModelRecord:
    """The record with what the file's ModelSpec metadata says (github.com/Stability-AI/ModelSpec)."""
    if path.suffix.casefold() != ".safetensors":
        return replace(
            record,
            problem=f"{path.name} is a pickle, which could run code when loaded; get the .safetensors version of it.",
        )
    try:
        metadata = read_header(path).metadata
    except InvalidModelFile as error:
        return replace(record, problem=str(error))
    size = RESOLUTION.fullmatch(metadata.get("modelspec.resolution", ""))
    width, height = (int(size[1]), int(size[2])) if size else (record.width, record.height)
    return replace(
        record,
        display_name=metadata.get("modelspec.title", "")[:200],
        description=metadata.get("modelspec.description", "")[:2000],
        width=width,
        height=height,
    )


def _readable(path: Path) -> str:
    """A path as text; bytes that are no UTF-8 become "?"."""
    return path.as_posix().encode("utf-8", "replace").decode()


def _stamp(path: Path) -> _Stamp:
    found = path.stat()
    return _Stamp(path=str(path), size=found.st_size, modified=found.st_mtime_ns)


def _stamp_of(record: ModelRecord) -> _Stamp:
    return _Stamp(path=record.path, size=record.size, modified=record.modified)


def _sha256(path: Path, stopped: Callable[[], bool]) -> str:
    """Hexadecimal digest, "" when stopped."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            if stopped():
                return ""
            digest.update(block)
    return digest.hexdigest()


def _read_hashes(file: Path) -> dict[_Stamp, str]:
    try:
        listed = json.loads(file.read_bytes())
        return {_Stamp(path=path, size=size, modified=time): sha256 for path, size, time, sha256 in listed}
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def _aliases(record: ModelRecord) -> tuple[str, ...]:
    file_name = record.title.removesuffix(f" [{record.short_hash}]")
    hashed = (record.sha256, record.short_hash, f"{record.name} [{record.short_hash}]") if record.sha256 else ()
    return (record.title, file_name, record.name, file_name.rpartition("/")[2], record.name.rpartition("/")[2], *hashed)


def _exactly(name: str, record: ModelRecord) -> bool:
    return name in _aliases(record)


def _loosely(name: str, record: ModelRecord) -> bool:
    return folded(name) in {folded(alias) for alias in _aliases(record)}


def _ignoring_hash(name: str, record: ModelRecord) -> bool:
    """`file [hash]` finds a file that has not been hashed yet."""
    start, bracket, _ = name.rpartition(" [")
    return bool(bracket) and not record.sha256 and _exactly(start, record)
