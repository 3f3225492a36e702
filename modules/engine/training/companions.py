"""Further processes that train together with this one, each on a device of its own: they compute, this one keeps and tells."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

from modules.core.errors import InvalidRequest, Problem
from modules.core.extension_points import Family, TrainingMethod
from modules.core.named import Names
from modules.core.requests import ModelRecord
from modules.core.training import TrainingPlan
from modules.engine.models import Loaded, Models
from modules.engine.training.opening import Opened
from modules.families.built import BuildOptions
from modules.training import state
from modules.training.dataset import Data, Example
from modules.training.devices import accompanied
from modules.training.learner import Learner
from modules.training.loop import begin, train


@dataclass(frozen=True, kw_only=True)
class Work:
    """All that another process needs to take the same steps; it travels to it by pickle, from us to ourselves."""

    plan: TrainingPlan
    method: TrainingMethod
    families: tuple[Family, ...]
    record: ModelRecord
    half: bool
    instance: tuple[Example, ...]
    prior: tuple[Example, ...]
    checkpoint: Path


def work_of(opened: Opened) -> Work:
    """What the others do."""
    run = opened.run
    return Work(
        plan=run.plan,
        method=run.method,
        families=tuple(run.context.plugins.collect("register_families").values()),
        record=run.record,
        half=run.half,
        instance=tuple(opened.instance),
        prior=tuple(opened.prior),
        checkpoint=run.folder.checkpoint,
    )


def companions(opened: Opened) -> AbstractContextManager[None]:
    """Inside, the plan's other processes train along; nothing happens for a plan of one. Raises InvalidRequest."""
    devices = devices_for(opened.run.plan.num_processes, opened.loaded.built.device)
    return accompanied(devices, accompany, work_of(opened))


def devices_for(count: int, own: torch.device) -> list[torch.device]:
    """One for each process, this one's first. Raises InvalidRequest when there are not as many."""
    if own.type != "cuda":
        return [own] * count
    first = own.index or 0
    others = [number for number in range(torch.cuda.device_count()) if number != first]
    if count > 1 + len(others):
        message = f"{count} devices were asked for and there are {1 + len(others)}; choose fewer."
        raise InvalidRequest(Problem(field="num_processes", message=message))
    return [own, *(torch.device("cuda", number) for number in others[: count - 1])]


def accompany(device: torch.device, work: Work) -> None:
    """One of the others: from the same checkpoint, through the same steps, without a word."""
    families: Names[Family] = Names("family")
    for family in work.families:
        families.claim(family)
    loaded = Models(families, BuildOptions(device=device)).fresh(work.record, half=work.half)
    loaded.built.vae.float()
    with work.method.prepare(loaded.built, work.plan) as learner:
        position = begin(learner, work.plan, device)
        state.load(work.checkpoint, position, learner, work.plan)
        batches = batches_of(loaded, learner, work.plan, work.instance, work.prior)
        batches.prepare()
        train(loaded.built, learner, work.plan, batches, position, lambda numbers, position: None)


def batches_of(
    loaded: Loaded, learner: Learner, plan: TrainingPlan, instance: Sequence[Example], prior: Sequence[Example]
) -> Data:
    """What the loop learns from; the pictures are not encoded yet."""
    return Data(loaded.built, learner, plan, loaded.tokenizer, instance, prior, ranks=plan.num_processes)
