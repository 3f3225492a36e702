"""The files that people keep beside a model: `<name>.json` with notes, `<name>.preview.png` or `<name>.png` to look at.

The keys of the JSON are the field's, and keys that we do not know stay in the file when it is changed.
"""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.core.errors import NotFound
from modules.core.files import write_atomically

MOST_BYTES = 1 << 20
MOST_PICTURE_BYTES = 32 << 20
LONGEST = 20_000
PREVIEWS = tuple(f"{middle}{end}" for middle in (".preview", "") for end in (".png", ".jpg", ".jpeg", ".webp"))
KEYS: Mapping[str, str] = {
    "description": "description",
    "activation_text": "activation text",
    "negative_text": "negative text",
    "preferred_weight": "preferred weight",
    "base": "sd version",
    "notes": "notes",
}


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What somebody wrote about a model. `preferred_weight` 0: none. `base`: which base model it is for."""

    description: str = ""
    activation_text: str = ""
    negative_text: str = ""
    preferred_weight: float = 0.0
    base: str = ""
    notes: str = ""


def stem_of(path: Path) -> Path:
    """The path that side files share with the model, without an ending."""
    return path if path.is_dir() else path.with_suffix("")


def notes_beside(path: Path) -> Notes:
    """What is written beside a model; empty for a file that is not there or not what it should be."""
    table = _table(_json_of(path))
    texts = {name: _text(table.get(key)) for name, key in KEYS.items() if name != "preferred_weight"}
    return Notes(preferred_weight=_number(table.get(KEYS["preferred_weight"])), **texts)


def write_notes(path: Path, notes: Notes) -> None:
    """Write what is said about a model beside it. Raises StorageFailed."""
    table = _table(_json_of(path))
    known = {key: getattr(notes, name) for name, key in KEYS.items()}
    write_atomically(_json_of(path), json.dumps(table | known, indent=4, ensure_ascii=False).encode())


def preview_of(path: Path) -> Path | None:
    """The picture beside a model, as people name it; a link is none."""
    stem = stem_of(path)
    candidates = (stem.with_name(stem.name + ending) for ending in PREVIEWS)
    return next((one for one in candidates if _is_plain_file(one)), None)


def write_preview(path: Path, png: bytes) -> None:
    """Keep a picture beside a model; other previews of it are left, this one comes first. Raises StorageFailed."""
    stem = stem_of(path)
    write_atomically(stem.with_name(f"{stem.name}.preview.png"), png)


def read_plain_file(path: Path, most: int = MOST_PICTURE_BYTES) -> bytes:
    """The bytes of a file that is no link, also if somebody makes it one meanwhile. Raises NotFound."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise NotFound(f"there is no {path.name[:80]!r}") from error
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise NotFound(f"there is no {path.name[:80]!r}")
        content = file.read(most + 1)
    if len(content) > most:
        raise NotFound(f"{path.name[:80]!r} is larger than {most >> 20} MB")
    return content


def _json_of(path: Path) -> Path:
    stem = stem_of(path)
    return stem.with_name(f"{stem.name}.json")


def _table(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_plain_file(path, MOST_BYTES))
    except (NotFound, OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _text(value: Any) -> str:
    return value[:LONGEST] if isinstance(value, str) else ""


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -10 <= value <= 10:
        return 0.0
    return float(value)


def _is_plain_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
