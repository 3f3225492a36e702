"""The folder of one training, `outputs/training/<run>`, as the web process reads it. The trainer writes it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.core.errors import NotFound
from modules.core.files import inside
from modules.services.training import log

RUN = re.compile(r"[0-9a-f][0-9a-f-]{7,99}")
STEP = re.compile(r"[0-9]{6,9}")
LARGEST_JSON = 16 << 20
REMOVED = ".removed.json"  # beside the runs' folders: which runs were deleted, by the token that brings one back
SERVED: Mapping[str, str] = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".safetensors": "application/octet-stream",
    ".pt": "application/octet-stream",
}


@dataclass(frozen=True, kw_only=True)
class Shots:
    """The pictures of one moment: `files` are paths below the run's folder."""

    step: int
    files: tuple[str, ...]


class RunFolder:
    """Reads what is there; what is missing, damaged or just being written is empty."""

    def __init__(self, root: Path, run: str) -> None:
        self.run = run
        self.path = root / run

    def table(self, name: str) -> dict[str, Any]:
        """A JSON file that holds an object: `status.json`, `measure.json`, `evaluation.json`, `model.json`."""
        found = read_json(self.path / name)
        return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]

    def pictures(self) -> list[dict[str, Any]]:
        """What was trained on: file, name, caption, sizes."""
        found = read_json(self.path / "pictures.json")
        if not isinstance(found, list):
            return []
        every: list[Any] = found  # pyright: ignore[reportUnknownVariableType]
        return [one for one in every if isinstance(one, dict) and isinstance(one.get("file"), str)]  # pyright: ignore

    def previews(self) -> list[Shots]:
        """Pictures on the way, the first moment first."""
        return [
            Shots(step=step, files=tuple(f"previews/{folder.name}/{one}" for one in _pictures(folder)))
            for step, folder in self._steps("previews")
        ]

    def snapshots(self) -> list[Shots]:
        """Files on the way; a folder is named as itself."""
        return [
            Shots(step=step, files=tuple(f"snapshots/{folder.name}/{one}" for one in _names(folder)))
            for step, folder in self._steps("snapshots")
        ]

    @property
    def log(self) -> Path:
        """One line of numbers for each step."""
        return self.path / "log.jsonl"

    def last(self) -> dict[str, Any] | None:
        """The newest numbers."""
        return log.last(self.log)

    def file(self, name: str) -> tuple[Path, str]:
        """A file below the folder and its media type. Raises NotFound for what is not there or not for others' eyes."""
        parts = Path(name).parts
        kind = SERVED.get(Path(name).suffix.casefold())
        if kind is None or parts[:1] == ("checkpoint",) or any(part.startswith(".") for part in parts):
            raise NotFound(f"there is no file {name[:80]!r}")
        found = inside(self.path, name)
        if not found.is_file():
            raise NotFound(f"there is no file {name[:80]!r}")
        return found, kind

    def _steps(self, kind: str) -> list[tuple[int, Path]]:
        folder = self.path / kind
        found = [folder / name for name in _names(folder) if STEP.fullmatch(name)]
        return [(int(one.name), one) for one in found if _names(one)]


def read_json(path: Path) -> Any:
    """The value in a JSON file, None when there is none that can be read."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def removed_runs(root: Path) -> dict[str, str]:
    """The runs that somebody has deleted, with the token that brings each back."""
    found = read_json(root / REMOVED)
    return {str(run): str(token) for run, token in found.items()} if isinstance(found, dict) else {}  # pyright: ignore


def _names(folder: Path) -> list[str]:
    try:
        return sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))
    except OSError:
        return []


def _pictures(folder: Path) -> list[str]:
    """In the order of their numbers: 2.png before 10.png."""
    names = [name for name in _names(folder) if name.endswith((".png", ".jpg"))]
    return sorted(names, key=lambda name: (len(name), name))
