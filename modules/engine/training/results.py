"""What was learned, as files: on the shelves where people look for models, or in a snapshot's folder.

Nothing is overwritten that is not this run's own. Each file is whole or not there.
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from modules.core.errors import StorageFailed
from modules.core.files import leftovers, write_atomically
from modules.core.requests import ModelRecord
from modules.core.training import TrainingPlan
from modules.engine.job import JobContext
from modules.engine.models import Loaded
from modules.engine.training.classes import hash_of
from modules.engine.training.previews import CHECKPOINT, EMBEDDING, LORA
from modules.families import checkpoint, saving, single_file
from modules.training.embedding_files import pickled
from modules.training.learner import Exported, Learner
from modules.training.metadata import Facts, metadata, trigger

NUMBERS = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
FORBIDDEN = frozenset('<>:"/\\|?*,()[]{}')  # in file names, or with a meaning in prompts
LONGEST = 100


def file_name(plan: TrainingPlan) -> str:
    """The plan's name as a file can have it; without one, what the subject is called."""
    asked = plan.name or "-".join(part for part in (plan.identifier, plan.class_noun) if part)
    name = "".join("_" if letter in FORBIDDEN or ord(letter) < 32 else letter for letter in asked)
    return name.strip(" .").encode()[:LONGEST].decode(errors="ignore") or "trained"


def free_name(name: str, folder: Path) -> str:
    """This name, or the first of name-2, name-3, … that no file or folder here has, whatever its ending."""
    stems = {_stem(one).casefold() for one in folder.iterdir()} if folder.is_dir() else set[str]()
    candidates = (name if number == 1 else f"{name}-{number}" for number in range(1, 10_000))
    return next(one for one in candidates if one.casefold() not in stems)


def _stem(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


@dataclass(frozen=True, kw_only=True)
class Written:
    """One file or folder of a result, and where it is from."""

    exported: Exported
    path: Path

    def facts(self) -> dict[str, Any]:
        """As `status.json` lists it."""
        record = record_of(self.path)
        return {
            "kind": self.exported.kind,
            "format": self.exported.format,
            "name": _stem(self.path),
            "path": str(self.path),
            "bytes": record.size,
            "sha256": hash_of(record),
        }


@dataclass(frozen=True, kw_only=True)
class Shelves:
    """Writes what a learner has learned. `facts`: what is known beside the plan; its `step` is filled in. `name`: of the files."""

    plan: TrainingPlan
    context: JobContext
    loaded: Loaded
    learner: Learner
    name: str
    facts: Facts

    def publish(self, formats: tuple[str, ...], step: int, claim: Callable[[Path], Path]) -> list[Written]:
        """All formats, the first under the plain name. `claim` says for each path which one may be written."""
        written: list[Written] = []
        for number, format in enumerate(formats):
            name = self.name if number == 0 else f"{self.name}-{format}"
            for one in self.learner.export(format, NUMBERS[self.plan.save_precision]):
                path = claim(shelf(self.context, one.kind) / f"{name}{one.suffix}")
                self._write(one, path, step)
                written.append(Written(exported=one, path=path))
        return written

    def keep(self, format: str, folder: Path, step: int) -> None:
        """One format, in a folder of its own."""
        for one in self.learner.export(format, NUMBERS[self.plan.save_precision]):
            self._write(one, folder / f"{self.name}{one.suffix}", step)

    def _write(self, one: Exported, path: Path, step: int) -> None:
        """Raises StorageFailed."""
        built = self.loaded.built
        facts = replace(self.facts, step=step, date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        said = metadata(replace(self.plan, name=path.stem if one.suffix else path.name), facts, one)
        if one.suffix == ".pt":
            write_atomically(path, pickled(one.tensors, said))
        elif one.kind != CHECKPOINT:
            single_file.save(path, one.tensors, said)
        else:
            write = saving.save_folder if one.format == "diffusers" else checkpoint.save
            with self.learner.merged():
                write(built, path, saving.kept_metadata(built) | said, number=NUMBERS[self.plan.save_precision])


def shelf(context: JobContext, kind: str) -> Path:
    """Where files of a kind belong."""
    return {LORA: context.loras, EMBEDDING: context.embeddings, CHECKPOINT: context.checkpoints}[kind]


def record_of(path: Path) -> ModelRecord:
    """A file or folder of ours as the library would list it; its size is that of everything inside."""
    files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    sizes = sum(one.stat().st_size for one in files)
    return ModelRecord(name=_stem(path), path=str(path), title=path.name, size=sizes, modified=path.stat().st_mtime_ns)


def describe(path: Path, plan: TrainingPlan, preview: bytes | None) -> None:
    """What the lists show beside a file: its trigger words, what it was made of, a picture. See `services/shelf_notes.py`.

    What somebody wrote there since stays.
    """
    stem = path if path.is_dir() else path.with_suffix("")
    beside = stem.with_name(f"{stem.name}.json")
    notes = {
        "description": f"{plan.class_noun or 'Something'} that {plan.model} learned from {len(plan.pictures)} pictures.",
        "activation text": trigger(replace(plan, name=_stem(path))),
        "notes": f"{plan.method}, {plan.max_train_steps} steps, learning rate {plan.learning_rate:g}, "
        f"{time.strftime('%Y-%m-%d')}; trained with Atelier.",
    }
    if not beside.exists():
        write_atomically(beside, json.dumps(notes, indent=4, ensure_ascii=False).encode())
    if preview is not None:
        write_atomically(stem.with_name(f"{stem.name}.preview.png"), preview)


def link(written: list[Written], folder: Path) -> None:
    """Let a snapshot's folder hold the results too, without their bytes twice where the disk can do that."""
    for one in written:
        target = folder / one.path.name
        if target.exists():
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            if one.path.is_dir():
                shutil.copytree(one.path, target, copy_function=_linked)
            else:
                _linked(str(one.path), str(target))
        except OSError as error:
            raise StorageFailed(f"{target.name} could not be written: {error.strerror or error}") from error


def _linked(path: str, target: str) -> None:
    try:
        Path(target).hardlink_to(path)
    except OSError:  # another disk, or one without links
        shutil.copyfile(path, target)


def prune(parent: Path, steps: list[int], most: int) -> None:
    """Keep the latest snapshots only, and no parts of files that a crash left."""
    for step in steps[:-most]:
        shutil.rmtree(parent / f"{step:06d}", ignore_errors=True)
    for part in leftovers(parent) if parent.is_dir() else ():
        shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)
