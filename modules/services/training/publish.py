"""A snapshot of a training becomes a result: copied to where networks, embeddings or checkpoints are looked for."""

import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from modules.core.errors import InvalidOption, InvalidRequest, Problem, StorageFailed
from modules.core.files import TEMPORARY, sync_folder
from modules.core.places import Places
from modules.core.training import TrainingPlan
from modules.core.training_fields import LONGEST_FILE_NAME
from modules.services.training.run_folder import RunFolder

KIND_OF_FORMAT = {
    "kohya": "lora",
    "peft": "lora",
    "pt": "embedding",
    "embedding": "embedding",
    "checkpoint": "checkpoint",
    "diffusers": "checkpoint",
}
KIND_OF_METHOD = {"dreambooth": "checkpoint", "custom_diffusion": "checkpoint", "textual_inversion": "embedding"}
SPARE_BYTES = 500 << 20
FORBIDDEN = frozenset('<>:"/\\|?*')


def published(folder: RunFolder, plan: TrainingPlan, step: int, name: str, places: Places) -> list[dict[str, str]]:
    """Copy the files of the snapshot at `step`; nothing is overwritten. Raises InvalidRequest, StorageFailed."""
    shot = next((one for one in folder.snapshots() if one.step == step), None)
    if shot is None:
        there = ", ".join(str(one.step) for one in folder.snapshots()) or "none"
        raise InvalidRequest(
            Problem(field="snapshot", message=f"There is no snapshot of step {step}; kept are {there}.")
        )
    try:
        wanted = checked_name(name) or f"{plan.name or folder.run}-{step:06d}"
    except InvalidOption as error:
        raise InvalidRequest(Problem(field="name", message=str(error))) from error
    target = _target(_kind(folder, plan), places)
    made: list[dict[str, str]] = []
    for file in shot.files:
        source = folder.path / file
        copy = _copied(source, target, wanted)
        made.append({"kind": _kind(folder, plan), "name": copy.name, "use": copy.stem})
    return made


def checked_name(name: str) -> str:
    """A file's name without its ending. Raises InvalidOption for what no disk takes or what leads elsewhere."""
    name = name.strip()
    bad = next((letter for letter in name if letter in FORBIDDEN or ord(letter) < 32), "")
    if bad or name.startswith(".") or name.endswith(".") or len(name.encode()) > 2 * LONGEST_FILE_NAME:
        what = f"it has a {bad!r}" if bad else "it begins or ends with a dot, or is too long"
        raise InvalidOption(f"{name[:80]!r} cannot be a file's name: {what}.")
    return name


def _kind(folder: RunFolder, plan: TrainingPlan) -> str:
    """Where such files belong: as the trainer filed its results, else by the format."""
    files = folder.table("status.json").get("files")
    filed = files[0].get("kind") if isinstance(files, list) and files and isinstance(files[0], dict) else None  # pyright: ignore
    if filed in KIND_OF_FORMAT.values():
        return str(filed)  # pyright: ignore[reportUnknownArgumentType]
    formats = [KIND_OF_FORMAT[one] for one in plan.formats if one in KIND_OF_FORMAT]
    return (formats or [KIND_OF_METHOD.get(plan.method, "lora")])[0]


def _target(kind: str, places: Places) -> Path:
    return places.models / "Stable-diffusion" if kind == "checkpoint" else places.folders(kind)[0]


def _copied(source: Path, folder: Path, name: str) -> Path:
    size = sum(one.stat().st_size for one in ([source] if source.is_file() else source.rglob("*")))
    ending = source.suffix if source.is_file() else ""
    part = folder / f".{secrets.token_hex(8)}{TEMPORARY}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < size + SPARE_BYTES:
            raise StorageFailed(f"the disk is too full for {name} ({size >> 20:,} MB); delete something first.")
        copy: Callable[..., object] = shutil.copyfile if source.is_file() else shutil.copytree
        copy(source, part)
        target = next(one for one in (_numbered(folder, name, n, ending) for n in range(10_000)) if not one.exists())
        os.rename(part, target)
        sync_folder(folder)
    except OSError as error:
        with suppress(OSError):
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
        raise StorageFailed(f"{name} could not be written: {error.strerror}") from error
    return target


def _numbered(folder: Path, name: str, number: int, ending: str) -> Path:
    return folder / f"{name}{f' ({number})' if number else ''}{ending}"
