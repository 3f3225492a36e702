"""Checkpoints on disk: which there are, what their headers say, and their SHA-256. No tensor is read."""

import os
import re
import threading
from collections.abc import Hashable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from modules.core.errors import InvalidModelFile, UnknownName
from modules.core.named import closest, folded
from modules.core.places import Places
from modules.core.requests import ModelRecord
from modules.core.tensorfile import read_header
from modules.families.folder import is_model_folder
from modules.services.library_hashes import Hashes, Stamp, sha256, stamp
from modules.services.shelf_base import base_of, native_side

ENDINGS = (".safetensors", ".ckpt")
AT_ONCE_BYTES = 256 << 20  # files up to this size are hashed before they draw; larger ones meanwhile
CONVERT = "convert it on the Models tab, or get the .safetensors version of it."
RESOLUTION = re.compile(r"\s*(\d{2,4})\s*x\s*(\d{2,4})\s*", re.IGNORECASE)


class Library:
    """The checkpoints below the model folders. Safe from any thread; `models` answers from memory.

    A file that cannot be used is listed with the reason in `problem`.
    """

    def __init__(self, places: Places, hashes: Path) -> None:
        self._places = places
        self._hashes = Hashes(hashes, sha256)
        self._lock = threading.RLock()
        self._headers: dict[Stamp, tuple[ModelRecord, str]] = {}
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

    def base(self, record: ModelRecord) -> str:
        """The kind of model by its header ("SD 1.x"), for people; "" when that does not tell."""
        known = self._headers.get(_stamp_of(record))
        return known[1] if known else ""

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
        """Hash all files in the background, small ones first. Not called with --no-hashing."""
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
        self._hashes.find(_stamp_of(record), self._closing.is_set)

    def _with_known_hash(self, record: ModelRecord) -> ModelRecord:
        known = self._hashes.known(_stamp_of(record))
        if known == record.sha256:
            return record
        return replace(record, sha256=known, title=f"{record.title} [{known[:10]}]")

    # -- scanning ----------------------------------------------------------------------------------------------------

    def signature(self) -> Hashable:
        """What changes whenever a refresh would see something new."""
        return frozenset(_stamp_or_none(path) for _, path in self._candidates())

    def _files(self) -> Iterator[tuple[Path, Path]]:
        """(root, file) of every checkpoint, each file once."""
        seen: set[Path] = set()
        for root, path in self._candidates():
            real = path.resolve()
            if real not in seen and (path.is_file() or is_model_folder(path)):
                seen.add(real)
                yield root, path

    def _candidates(self) -> Iterator[tuple[Path, Path]]:
        if self._places.checkpoint:
            yield self._places.checkpoint.parent, self._places.checkpoint
        for root in self._places.checkpoint_folders:
            for path in sorted(_models_below(root), key=lambda path: str(path.relative_to(root)).casefold()):
                yield root, path

    def _record(self, root: Path, path: Path) -> ModelRecord:
        relative = path.relative_to(root)
        named: dict[str, Any] = {
            "name": readable(relative if path.is_dir() else relative.with_suffix("")),
            "title": readable(relative),
            "path": str(path),
        }
        try:
            found = stamp(path)
        except OSError as error:
            return ModelRecord(**named, size=0, modified=0, problem=f"{path.name} could not be read: {error.strerror}.")
        if found not in self._headers:
            plain = ModelRecord(name="", path="", title="", size=found.size, modified=found.modified)
            self._headers[found] = _described(plain, path)
        return replace(self._headers[found][0], **named)


def is_model_file(path: Path) -> bool:
    """Whether a file in a checkpoint folder is listed as a checkpoint: an autoencoder beside one is not."""
    name = path.name.casefold()
    return name.endswith(ENDINGS) and not name.startswith(".") and not path.stem.casefold().endswith(".vae")


def _models_below(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        here = [one for one in folders if is_model_folder(Path(folder, one))]
        folders[:] = [one for one in folders if one not in here and not one.startswith(".")]
        yield from (Path(folder, one) for one in here if not one.startswith("."))
        yield from (path for name in names if is_model_file(path := Path(folder, name)))


def _stamp_or_none(path: Path) -> Stamp | None:
    try:
        return stamp(path)
    except OSError:
        return None


def _described(record: ModelRecord, path: Path) -> tuple[ModelRecord, str]:
    """The record with what the file's ModelSpec metadata says (github.com/Stability-AI/ModelSpec); the base model."""
    if not path.is_dir() and path.suffix.casefold() != ".safetensors":
        sentence = f"{path.name} is a pickle, which could run code when loaded; {CONVERT}"
        return replace(record, problem=sentence), ""
    try:
        header = read_header(_telling(path))
    except InvalidModelFile as error:
        return replace(record, problem=str(error)), ""
    base = base_of(header.shapes, header.metadata)
    size = RESOLUTION.fullmatch(header.metadata.get("modelspec.resolution", ""))
    width, height = (int(size[1]), int(size[2])) if size else (native_side(base), native_side(base))
    title = header.metadata.get("modelspec.title", "")[:200]
    description = header.metadata.get("modelspec.description", "")[:2000]
    return replace(record, display_name=title, description=description, width=width, height=height), base


def _telling(path: Path) -> Path:
    """The file whose header tells what a model is: the U-Net of a folder."""
    if not path.is_dir():
        return path
    found = sorted((path / "unet").glob("*.safetensors"))
    if not found:
        raise InvalidModelFile(f"{path.name} is a folder without unet/*.safetensors; download it again, whole.")
    return found[0]


def readable(path: Path) -> str:
    """A path as text; bytes that are no UTF-8 become "?"."""
    return path.as_posix().encode("utf-8", "replace").decode()


def _stamp_of(record: ModelRecord) -> Stamp:
    return Stamp(path=record.path, size=record.size, modified=record.modified)


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
