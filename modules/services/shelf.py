"""The files beside the checkpoints: LoRAs, embeddings, hypernetworks, autoencoders, upscalers. No tensor is read.

A file that is a pickle is listed, but never opened here: an engine reads it, without running what is in it.
"""

import os
import threading
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from modules.core.errors import InvalidModelFile, UnknownName
from modules.core.named import closest, folded
from modules.core.places import FOLDERS, Places
from modules.core.requests import FileRecord, ModelRecord
from modules.core.tensorfile import Header, read_header
from modules.services.library import readable
from modules.services.library_hashes import Hashes, Stamp, lora_hash, sha256, stamp
from modules.services.shelf_base import base_of
from modules.services.shelf_notes import notes_beside

PICKLES = (".pt", ".bin", ".ckpt", ".pth")
ENDINGS: Mapping[str, tuple[str, ...]] = {
    "lora": (".safetensors", ".pt", ".ckpt"),
    "embedding": (".safetensors", ".pt", ".bin"),
    "hypernetwork": (".pt", ".safetensors"),
    "vae": (".safetensors", ".pt", ".ckpt"),
    "upscaler": (".safetensors", ".pth", ".pt"),
}
WORDS_IN_PROMPTS = {"lora": "lora", "lyco": "lora", "hypernet": "hypernetwork"}
HASH_DIGITS = {"vae": 10}  # of the SHA-256, as picture texts have it; 12 elsewhere
AT_ONCE_BYTES = 256 << 20


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What a header says, kept as long as the file does not change."""

    alias: str = ""
    base: str = ""
    problem: str = ""
    words: str = ""
    vectors: int = 0


class Shelf:
    """All files by kind. Safe from any thread; `files` answers from memory once the first scan is done."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._lock = threading.RLock()
        self._headers: dict[Stamp, _Known] = {}
        self._files: Mapping[str, tuple[FileRecord, ...]] | None = None
        self._claims: Mapping[str, Counter[str]] = {}  # by kind: how many files go by a name
        self._of_loras = Hashes(places.cache / "lora-hashes.json", lora_hash)
        self._of_others = Hashes(places.cache / "file-hashes.json", sha256)
        self._closing, self._work = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    # -- looking up --------------------------------------------------------------------------------------------------

    def files(self, kind: str) -> tuple[FileRecord, ...]:
        """All files of a kind, by folder and name; those that cannot be used carry the reason in `problem`."""
        with self._lock:
            found = self._files if self._files is not None else self._scan()
        return tuple(self._hashed(record) for record in found.get(kind, ()))

    def find(self, kind: str, name: str) -> FileRecord:
        """By file name without or with its ending, then by alias; at last whatever the case. Raises UnknownName.

        An alias that two files claim finds neither.
        """
        files = self.files(kind)
        aliases = [one.alias for one in files]
        for same in (_exact, folded):
            wanted = same(name)
            for record in files:
                if wanted in (same(record.name), same(Path(record.path).name)):
                    return record
            by_alias = [record for record in files if record.alias and same(record.alias) == wanted]
            if len(by_alias) == 1:
                return by_alias[0]
        raise UnknownName(kind, name, closest(name, [one.name for one in files] + [one for one in aliases if one]))

    def network(self, word: str, name: str) -> FileRecord | None:
        """What `<word:name>` in a prompt means; None for a word that is no network's or a name that nothing has."""
        try:
            return self.find(WORDS_IN_PROMPTS[word], name)
        except (KeyError, UnknownName):
            return None

    def called(self, record: FileRecord) -> str:
        """What prompts best call a file: its alias, unless another one goes by that too."""
        unique = self._claims.get(record.kind, {}).get(record.alias, 0) <= 1
        return record.alias if record.alias and unique else record.name

    def beside(self, model: ModelRecord) -> FileRecord | None:
        """The autoencoder that lies beside a checkpoint and belongs to it."""
        path = Path(model.path)
        wanted = path.name if path.is_dir() else path.stem
        return next(
            (
                one
                for one in self.files("vae")
                if Path(one.path).parent == path.parent and one.name == f"{wanted}.vae" and not one.problem
            ),
            None,
        )

    def with_hash(self, record: FileRecord) -> FileRecord:
        """The record with its hashes when they are known or quickly found, else as it is."""
        if not (record.short_hash or record.problem or record.size > AT_ONCE_BYTES):
            self._hashes(record.kind).find(_stamp_of(record), self._closing.is_set)
        return self._hashed(record)

    def base(self, record: FileRecord) -> str:
        """The base model a file is for, "" when its header does not tell."""
        return self._known(_stamp_of(record)).base

    def vectors(self) -> Mapping[str, int]:
        """How many tokens each embedding takes, as far as the file may be opened here."""
        found = ((one.name, self._known(_stamp_of(one)).vectors) for one in self.files("embedding"))
        return {name: vectors for name, vectors in found if vectors}

    def header(self, record: FileRecord) -> Header | None:
        """Names, shapes and metadata, read anew; None for a file that is none of ours to open."""
        if record.path.casefold().endswith(PICKLES):
            return None
        try:
            return read_header(Path(record.path))
        except InvalidModelFile:
            return None

    def refresh(self) -> None:
        """Scan the folders again."""
        with self._lock:
            self._scan()
        self._work.set()

    # -- in the background -------------------------------------------------------------------------------------------

    def start_hashing(self) -> None:
        """Scan and hash in the background, small files first."""
        self._thread = threading.Thread(target=self._hash_all, name="hashing the shelf", daemon=True)
        self._work.set()
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
            every = [record for kind in FOLDERS for record in self.files(kind)]
            for record in sorted(every, key=lambda one: one.size):
                if not (self._closing.is_set() or record.short_hash or record.problem):
                    self._hashes(record.kind).find(_stamp_of(record), self._closing.is_set)

    def _hashes(self, kind: str) -> Hashes:
        return self._of_loras if kind == "lora" else self._of_others

    def _hashed(self, record: FileRecord) -> FileRecord:
        known = self._hashes(record.kind).known(_stamp_of(record))
        if not known:
            return replace(record, sha256="", short_hash="") if record.short_hash else record
        whole = "" if record.kind == "lora" else known
        return replace(record, sha256=whole, short_hash=known[: HASH_DIGITS.get(record.kind, 12)])

    # -- scanning ----------------------------------------------------------------------------------------------------

    def signature(self) -> Hashable:
        """What changes whenever a refresh would see something new, trigger words beside the files included."""
        files = (path for kind in FOLDERS for path in self._candidates(kind))
        return frozenset((_stamp_or_none(path), _stamp_or_none(path.with_suffix(".json"))) for path in files)

    def _scan(self) -> Mapping[str, tuple[FileRecord, ...]]:
        self._files = {kind: tuple(self._records(kind)) for kind in FOLDERS}
        self._claims = {
            kind: Counter(name for one in files for name in {one.name, one.alias})
            for kind, files in self._files.items()
        }
        return self._files

    def _records(self, kind: str) -> Iterator[FileRecord]:
        seen: set[Path] = set()
        for path in self._candidates(kind):
            real, found = path.resolve(), _stamp_or_none(path)
            if found is not None and real not in seen and path.is_file():
                seen.add(real)
                yield self._record(kind, path, found)

    def _record(self, kind: str, path: Path, found: Stamp) -> FileRecord:
        known = self._known(found)
        words = notes_beside(path).activation_text or known.words
        return FileRecord(
            kind=kind,
            name=readable(Path(path.stem)),
            path=found.path,
            size=found.size,
            modified=found.modified,
            alias=known.alias,
            problem=known.problem,
            words=tuple(word.strip() for word in words.split(",") if word.strip()),
        )

    def _known(self, found: Stamp) -> _Known:
        if found not in self._headers:
            self._headers[found] = _described(Path(found.path))
        return self._headers[found]

    def _candidates(self, kind: str) -> Iterator[Path]:
        for root in self._places.folders(kind):
            yield from sorted(_below(root, ENDINGS[kind]), key=lambda path: str(path).casefold())
        if kind == "vae":
            roots = [*self._places.checkpoint_folders]
            if self._places.checkpoint:
                roots.append(self._places.checkpoint.parent)
            for root in roots:
                yield from sorted(_below(root, (".vae.safetensors", ".vae.pt", ".vae.ckpt")))


def _below(root: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [one for one in folders if not one.startswith(".")]
        for name in names:
            if name.casefold().endswith(endings) and not name.startswith("."):
                yield Path(folder, name)


def _described(path: Path) -> _Known:
    if path.name.casefold().endswith(PICKLES):
        return _Known()
    try:
        header = read_header(path)
    except InvalidModelFile as error:
        return _Known(problem=str(error))
    vectors = next((header.shapes[name] for name in ("emb_params", "clip_l", "clip_g") if name in header.shapes), ())
    return _Known(
        alias=header.metadata.get("ss_output_name", "")[:200],
        base=base_of(header.shapes, header.metadata),
        words=header.metadata.get("modelspec.trigger_phrase", "")[:2000],
        vectors=(vectors[0] if len(vectors) == 2 else 1) if vectors else 0,
    )


def _exact(name: str) -> str:
    return name


def _stamp_or_none(path: Path) -> Stamp | None:
    try:
        return stamp(path)
    except OSError:
        return None


def _stamp_of(record: FileRecord) -> Stamp:
    return Stamp(path=record.path, size=record.size, modified=record.modified)
