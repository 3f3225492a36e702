"""Every model file as a card: what it is, what people wrote beside it, its picture. Named by ids, never by paths."""

import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any

from modules.core.errors import InvalidModelFile, NotFound
from modules.core.places import FOLDERS, Places
from modules.core.requests import FileRecord, ModelRecord
from modules.core.tensorfile import read_header
from modules.families.convert import convert
from modules.services.cards_trash import Trash
from modules.services.library import Library, readable
from modules.services.shelf import PICKLES, Shelf
from modules.services.shelf_notes import Notes, notes_beside, preview_of, read_plain_file, write_notes, write_preview

KINDS = ("checkpoint", *FOLDERS)
MOST_TAGS = 40
MOST_METADATA = 4000  # characters of one value


@dataclass(frozen=True, kw_only=True)
class Card:
    """One file. `use`: what a prompt calls it (a checkpoint: its title). `trigger`: words that bring it out.

    `preview`: "", or what changes with the picture. `convertible`: a pickle that can be made a safetensors file.
    """

    id: str
    kind: str
    name: str
    use: str
    folder: str
    path: Path
    size: int
    modified: int
    hash: str
    base: str
    problem: str
    title: str
    trigger: str
    notes: Notes
    preview: str
    convertible: bool


class Cards:
    """All cards, made from what library and shelf know; notes and pictures are read from the disk each time."""

    def __init__(self, library: Library, shelf: Shelf, places: Places) -> None:
        self._library, self._shelf, self._places = library, shelf, places
        self._trash = Trash(places.cache / "trash.json")
        self._one_conversion = threading.Lock()

    def all(self) -> tuple[Card, ...]:
        """Checkpoints first, then kind by kind, in the order of the lists."""
        of_models = (self._of_model(one) for one in self._library.models())
        of_files = (self._of_file(one) for kind in FOLDERS for one in self._shelf.files(kind))
        return tuple(chain(of_models, of_files))

    def find(self, id: str) -> Card:
        """The card with this id. Raises NotFound."""
        for one in chain(self._library.models(), *(self._shelf.files(kind) for kind in FOLDERS)):
            kind = one.kind if isinstance(one, FileRecord) else "checkpoint"
            if _id(kind, one.path) == id:
                return self._of_file(one) if isinstance(one, FileRecord) else self._of_model(one)
        raise NotFound(f"there is no model {id[:80]!r}; refresh the list")

    def refresh(self) -> None:
        """Look at all folders again."""
        self._library.refresh()
        self._shelf.refresh()
        self._trash.sweep()

    def metadata(self, card: Card) -> Mapping[str, str]:
        """What the file's header says about it, long values cut; empty for what is not opened here."""
        if card.path.is_dir() or card.path.name.casefold().endswith(PICKLES):
            return {}
        try:
            found = read_header(card.path).metadata
        except InvalidModelFile:
            return {}
        return {key[:200]: value[:MOST_METADATA] for key, value in found.items()}

    def tags(self, card: Card) -> tuple[str, ...]:
        """The words that stood most often beside the pictures a LoRA was trained on, as its header says."""
        if card.kind != "lora" or card.path.name.casefold().endswith(PICKLES):
            return ()
        try:
            counted = json.loads(read_header(card.path).metadata.get("ss_tag_frequency", "{}"))
            total: Counter[str] = Counter()
            for folder in counted.values():
                total.update({str(tag).strip(): int(times) for tag, times in folder.items()})
        except (InvalidModelFile, ValueError, TypeError, AttributeError, RecursionError, OverflowError):
            return ()
        return tuple(tag for tag, _ in total.most_common(MOST_TAGS))

    # -- what people change ------------------------------------------------------------------------------------------

    def edit(self, id: str, notes: Notes) -> Card:
        """Write notes and trigger words beside the file. Raises NotFound, StorageFailed."""
        card = self.find(id)
        write_notes(card.path, notes)
        self._shelf.refresh()
        return self.find(id)

    def picture(self, id: str) -> bytes:
        """The bytes of its preview, as they lie on the disk. Raises NotFound."""
        found = preview_of(self.find(id).path)
        if found is None:
            raise NotFound("this model has no preview yet")
        return read_plain_file(found)

    def set_picture(self, id: str, png: bytes) -> Card:
        """Keep a picture as its preview. Raises NotFound, StorageFailed."""
        write_preview(self.find(id).path, png)
        return self.find(id)

    def remove(self, id: str) -> str:
        """Put it into the trash with what lies beside it; answers what `restore` asks for. Raises StorageFailed."""
        token = self._trash.put(self.find(id).path)
        self.refresh()
        return token

    def restore(self, token: str) -> None:
        """Take it out of the trash again. Raises NotFound, StorageFailed."""
        self._trash.restore(token)
        self.refresh()

    def convert(self, id: str) -> Card:
        """Make a safetensors file of a pickle, which stays; takes minutes for a large one. Answers the new card.

        It is read in a process of its own, which can do nothing but that. Raises NotFound, InvalidModelFile, StorageFailed.
        """
        card = self.find(id)
        if not card.convertible:
            raise InvalidModelFile(f"{card.path.name} need not be converted.")
        with self._one_conversion:
            made = convert(card.path)
        self.refresh()
        return next(one for one in self.all() if one.path == made)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _of_model(self, record: ModelRecord) -> Card:
        path = Path(record.path)
        folder, _, name = record.name.rpartition("/")
        known: dict[str, Any] = {
            "use": record.title,
            "hash": record.short_hash,
            "base": self._library.base(record),
            "title": record.display_name,
        }
        convertible = path.name.casefold().endswith(PICKLES)
        return _card("checkpoint", path, name, folder, record=record, convertible=convertible, **known)

    def _of_file(self, record: FileRecord) -> Card:
        known: dict[str, Any] = {
            "use": self._shelf.called(record),
            "hash": record.short_hash,
            "base": self._shelf.base(record),
            "title": record.alias if record.alias != record.name else "",
        }
        folder = self._folder_of(record)
        return _card(record.kind, Path(record.path), record.name, folder, record=record, convertible=False, **known)

    def _folder_of(self, record: FileRecord) -> str:
        parent = Path(record.path).parent
        for root in (*self._places.folders(record.kind), *self._places.checkpoint_folders):
            if parent.is_relative_to(root):
                return readable(parent.relative_to(root)).removeprefix(".")
        return ""


def _id(kind: str, path: str) -> str:
    return blake2b(f"{kind}\0{path}".encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _card(kind: str, path: Path, name: str, folder: str, *, record: ModelRecord | FileRecord, **known: Any) -> Card:
    notes = notes_beside(path)
    picture = preview_of(path)
    words = ", ".join(record.words) if isinstance(record, FileRecord) else ""
    known["base"] = notes.base or known["base"]
    return Card(
        id=_id(kind, record.path),
        kind=kind,
        name=name,
        folder=folder,
        path=path,
        size=record.size,
        modified=record.modified,
        problem=record.problem,
        notes=notes,
        trigger=notes.activation_text or words,
        preview=str(picture.lstat().st_mtime_ns) if picture else "",
        **known,
    )
