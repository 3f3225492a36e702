"""A training on disk: with it, what is trained in two sittings is bit for bit what is trained in one.

    checkpoint/000120/tensors.safetensors   weights, averages, the optimizer's tensors
    checkpoint/000120/state.json            everything else, and the tensors' SHA-256; written last

A folder is written under another name and renamed when all of it is on the disk, so a crash at any moment leaves the
one before. The last two are kept.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from modules.core.errors import InvalidRequest, Problem, StorageFailed
from modules.core.files import TEMPORARY, sync_folder
from modules.core.training import TrainingPlan
from modules.training.learner import Learner
from modules.training.loop import Position

log = logging.getLogger(__name__)

KEPT = 2
TENSORS, STATE = "tensors.safetensors", "state.json"
WEIGHT, AVERAGE = "weight/", "average/"  # beginnings of names; the optimizer's tensors have its state's path
FREE = (  # what may change between two sittings: it has no part in the weights
    *("run", "dry", "group", "arm", "evaluate", "save", "folder", "preset", "name", "names"),
    *("save_every", "keep_last", "save_precision", "formats"),
    *("preview_prompts", "preview_every", "preview_seed", "preview_sampler", "preview_steps", "preview_cfg_scale"),
    *("cache_latents", "gradient_checkpointing"),
)


class Unreadable(Exception):
    """A checkpoint that is damaged or was not written to its end."""


# Saving ---------------------------------------------------------------------------------------------------------------


def save(folder: Path, position: Position, learner: Learner, plan: TrainingPlan) -> Path:
    """Write where the training stands, then drop all but the last two. Raises StorageFailed; the old ones stay then."""
    tensors: dict[str, Tensor] = {WEIGHT + name: one.detach() for name, one in learner.named.items()}
    if position.average is not None:
        tensors |= {AVERAGE + name: one for name, one in position.average.weights.items()}
    known = {
        "step": position.step,
        "seconds": position.seconds,
        "averaged": position.average.updates if position.average else 0,
        "plan": plan_hash(plan),
        "optimizer": _without_tensors(position.optimizer.state_dict(), "optimizer", tensors),
        "scheduler": _without_tensors(position.scheduler.state_dict(), "scheduler", tensors),
        "scaler": position.scaler.state_dict(),
    }
    target, part = folder / f"{position.step:06d}", folder / f".{position.step:06d}{TEMPORARY}"
    try:
        _write(part, tensors, known)
        shutil.rmtree(target, ignore_errors=True)  # of the same step: saved again after going back
        os.replace(part, target)
        sync_folder(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise StorageFailed(f"The training could not be saved in {folder}: {error}") from error
    for old in [*saved(folder)[KEPT:], *folder.glob(f".*{TEMPORARY}")]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def _write(part: Path, tensors: Mapping[str, Tensor], known: Mapping[str, Any]) -> None:
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    # safetensors takes plain order only; brought into it beside the device, whose memory may be nearly full
    save_file({name: one.cpu().contiguous() for name, one in tensors.items()}, part / TENSORS)
    (part / STATE).write_text(json.dumps({**known, "sha256": _digest(part / TENSORS)}))
    for name in (TENSORS, STATE):
        with (part / name).open("rb+") as file:
            os.fsync(file.fileno())
    sync_folder(part)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Going on -------------------------------------------------------------------------------------------------------------


def saved(folder: Path) -> list[Path]:
    """The checkpoints that are there, the newest first."""
    with suppress(OSError):
        return sorted((one for one in folder.iterdir() if one.name.isdigit()), key=lambda one: -int(one.name))
    return []


def newest(folder: Path) -> Path | None:
    """The newest checkpoint that is whole, None without one."""
    return next((path for path, _ in _whole(folder)), None)


def load(folder: Path, position: Position, learner: Learner, plan: TrainingPlan) -> bool:
    """Bring learner and position to the newest checkpoint that is whole; False, and nothing changed, without one.

    Raises InvalidRequest when it was made with settings that lead to other weights.
    """
    for path, known in _whole(folder):
        try:
            tensors = load_file(path / TENSORS)
        except (OSError, SafetensorError) as error:
            log.warning("%s is damaged, going back to the one before: %s", path, error)
            continue
        if known["plan"] != plan_hash(plan) or not _fits(tensors, learner):
            message = "This training was begun with other settings. Go on with those, or start a new training."
            raise InvalidRequest(Problem(field="run", message=message))
        _restore(position, learner, known, tensors)
        return True
    return False


def _whole(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in saved(folder):
        try:
            known = json.loads((path / STATE).read_bytes())
            if known["sha256"] != _digest(path / TENSORS):
                raise Unreadable("its tensors are not what was written")
            yield path, known
        except (OSError, ValueError, KeyError, TypeError, Unreadable) as error:
            log.warning("%s is damaged, going back to the one before: %s", path, error)


def _fits(tensors: Mapping[str, Tensor], learner: Learner) -> bool:
    shapes = {name.removeprefix(WEIGHT): one.shape for name, one in tensors.items() if name.startswith(WEIGHT)}
    return shapes == {name: one.shape for name, one in learner.named.items()}


@torch.no_grad()
def _restore(position: Position, learner: Learner, known: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    for name, one in learner.named.items():
        one.copy_(tensors[WEIGHT + name])
    if position.average is not None:
        for name, one in position.average.weights.items():
            one.copy_(tensors[AVERAGE + name])
        position.average.updates = known["averaged"]
    position.optimizer.load_state_dict(_with_tensors(known["optimizer"], tensors))
    for one, remembered in position.optimizer.state.items():
        for key, value in remembered.items():  # in the weight's order of dimensions, which the file did not keep
            if isinstance(value, Tensor) and value.shape == one.shape:
                remembered[key] = torch.empty_like(one, dtype=value.dtype).copy_(value)
    position.scheduler.load_state_dict(_with_tensors(known["scheduler"], tensors))
    position.scaler.load_state_dict(known["scaler"])
    position.step, position.seconds = known["step"], known["seconds"]


def plan_hash(plan: TrainingPlan) -> str:
    """Of all settings that have a part in the weights. With a constant learning rate more steps may be added."""
    free = {*FREE, "max_train_steps"} if plan.lr_scheduler.startswith("constant") else FREE
    told = {name: value for name, value in asdict(plan).items() if name not in free}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


# States of optimizers and schedules: dicts with keys that JSON does not have, and tensors anywhere ---------------------


def _without_tensors(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """What JSON can hold of a state; its tensors are put into `tensors` by their path."""
    if isinstance(value, Tensor):
        tensors[path] = value.detach()
        return {"tensor": path}
    if isinstance(value, dict):
        return {"pairs": [[key, _without_tensors(one, f"{path}/{key}", tensors)] for key, one in value.items()]}
    if isinstance(value, list | tuple):
        inside = [_without_tensors(one, f"{path}/{place}", tensors) for place, one in enumerate(value)]
        return {"tuple": inside} if isinstance(value, tuple) else inside
    return value if isinstance(value, bool | int | float | str | None) else None  # functions of a schedule


def _with_tensors(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_with_tensors(one, tensors) for one in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "tuple" in value:
        return tuple(_with_tensors(one, tensors) for one in value["tuple"])
    return {key: _with_tensors(one, tensors) for key, one in value["pairs"]}
