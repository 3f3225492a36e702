"""Class pictures: made by a base model for prior preservation and kept for other trainings; looked at and thrown out here.

They lie in `outputs/training/class-pictures/<key>/<seed>.png`, with `about.json` beside them.
"""

import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.core.errors import NotFound, StorageFailed
from modules.core.files import inside, write_atomically
from modules.services.training.run_folder import read_json

FOLDER = "class-pictures"
KEY = re.compile(r"[0-9a-zA-Z_-]{4,128}")


@dataclass(frozen=True, kw_only=True)
class ClassSet:
    """The pictures of one prompt by one model. `about`: prompt, model, sampler, steps, size."""

    key: str
    about: dict[str, Any]
    seeds: tuple[int, ...]
    bytes: int

    @property
    def prompt(self) -> str:
        """What they were asked to show."""
        return str(self.about.get("prompt", ""))


class ClassPictures:
    """All sets. Safe from any thread. `prompts` of a method: only sets of these class prompts; None: all."""

    def __init__(self, root: Path) -> None:
        self._root = root / FOLDER

    def sets(self, prompts: Collection[str] | None = None) -> list[ClassSet]:
        """The sets, by their prompts."""
        try:
            folders = [one for one in self._root.iterdir() if one.is_dir() and KEY.fullmatch(one.name)]
        except OSError:
            return []
        found = [_set(folder) for folder in folders]
        shown = [one for one in found if prompts is None or one.prompt in prompts]
        return sorted(shown, key=lambda one: (one.prompt, one.key))

    def file(self, key: str, seed: int, prompts: Collection[str] | None = None) -> Path:
        """One picture. Raises NotFound."""
        return inside(self._root, f"{self._find(key, prompts).key}/{seed}.png")

    def remove(self, key: str, seed: int | None = None, prompts: Collection[str] | None = None) -> int:
        """Throw one picture out, or the whole set; answers how many that were. Raises NotFound, StorageFailed.

        The mark that stays behind one keeps its seed from being drawn again, which would give the same picture.
        """
        found = self._find(key, prompts)
        try:
            if seed is None:
                shutil.rmtree(self._root / found.key)
                return len(found.seeds)
            path = self.file(key, seed, prompts)
            write_atomically(path.with_suffix(".unwanted"), b"")
            path.unlink()
        except OSError as error:
            raise StorageFailed(f"the class pictures could not be removed: {error.strerror}") from error
        return 1

    def _find(self, key: str, prompts: Collection[str] | None) -> ClassSet:
        found = next((one for one in self.sets(prompts) if one.key == key), None)
        if found is None:
            raise NotFound(f"there are no class pictures {key[:80]!r}")
        return found


def _set(folder: Path) -> ClassSet:
    about = read_json(folder / "about.json")
    files = [one for one in folder.glob("*.png") if one.stem.isdecimal()]
    return ClassSet(
        key=folder.name,
        about=about if isinstance(about, dict) else {},  # pyright: ignore[reportUnknownArgumentType]
        seeds=tuple(sorted(int(one.stem) for one in files)),
        bytes=sum(one.stat().st_size for one in files if one.exists()),
    )
