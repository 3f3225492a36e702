"""Who changes the weights, and how fast: optimizers by the names in a plan, and their learning rate over the steps."""

import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from modules.core.errors import InvalidRequest, Problem
from modules.core.training import TrainingPlan
from modules.training.learner import ParameterGroup

Groups = list[dict[str, Any]]
EIGHT_BIT = "AdamW 8-bit"
SAME_RATE = ("Prodigy",)  # prodigyopt has one estimate for everything


def optimizer_for(plan: TrainingPlan, groups: Sequence[ParameterGroup]) -> Optimizer:
    """The plan's optimizer, with each group's own learning rate. Raises InvalidRequest when it cannot be had here."""
    make = MAKERS.get(plan.optimizer)
    if make is None:
        raise _problem(f"There is no optimizer {plan.optimizer!r}; there are {', '.join(MAKERS)}.")
    rates = [plan.learning_rate if plan.optimizer in SAME_RATE else group.learning_rate for group in groups]
    return make(
        [
            {"params": list(group.parameters), "lr": rate, "name": group.name}
            for group, rate in zip(groups, rates, strict=True)
        ],
        plan,
    )


def schedule_for(plan: TrainingPlan, optimizer: Optimizer) -> LRScheduler:
    """How the learning rates go up and down: diffusers' schedules, step by step of the optimizer."""
    from diffusers.optimization import get_scheduler  # late: diffusers takes seconds to import

    return get_scheduler(
        plan.lr_scheduler,
        optimizer=optimizer,
        num_warmup_steps=plan.lr_warmup_steps,
        num_training_steps=plan.max_train_steps,
        num_cycles=plan.lr_num_cycles,
        power=plan.lr_power,
    )


def rate_of(optimizer: Optimizer) -> float:
    """The first group's learning rate; for Prodigy with the factor that it has found."""
    first = optimizer.param_groups[0]
    return float(first["lr"] * first.get("d", 1.0))


def _adam(plan: TrainingPlan) -> dict[str, Any]:
    return {
        "betas": (plan.adam_beta1, plan.adam_beta2),
        "eps": plan.adam_epsilon,
        "weight_decay": plan.adam_weight_decay,
    }


def _adamw(groups: Groups, plan: TrainingPlan) -> Optimizer:
    """Loshchilov and Hutter 2019, arXiv:1711.05101. Fused, which halves its time on a CPU too (33 to 16 ms, starter)."""
    devices = {one.device.type for group in groups for one in group["params"]}
    return torch.optim.AdamW(groups, **_adam(plan), fused=devices <= {"cpu", "cuda"})


def _adamw_8bit(groups: Groups, plan: TrainingPlan) -> Optimizer:
    """Dettmers et al. 2022, arXiv:2110.02861."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise _problem(
            f"The optimizer {EIGHT_BIT} needs the package bitsandbytes, which is not installed. Choose AdamW, or run: "
            "pip install bitsandbytes"
        )
    from bitsandbytes.optim import AdamW8bit  # pyright: ignore[reportMissingImports]

    return AdamW8bit(groups, **_adam(plan))


def _prodigy(groups: Groups, plan: TrainingPlan) -> Optimizer:
    """Mishchenko and Defazio 2023, arXiv:2306.06101; with the bias correction and the guard its authors advise here."""
    from prodigyopt import Prodigy

    with redirect_stdout(io.StringIO()):  # it prints that it decouples the weight decay
        return Prodigy(groups, decouple=True, use_bias_correction=True, safeguard_warmup=True, **_adam(plan))


def _adafactor(groups: Groups, plan: TrainingPlan) -> Optimizer:
    """Shazeer and Stern 2018, arXiv:1804.04235, with the learning rate that is asked for instead of its own."""
    from transformers.optimization import Adafactor

    return Adafactor(groups, weight_decay=plan.adam_weight_decay, scale_parameter=False, relative_step=False)


def _sgd(groups: Groups, plan: TrainingPlan) -> Optimizer:
    """With beta 1 as the momentum, the same average of gradients that Adam keeps."""
    return torch.optim.SGD(groups, momentum=plan.adam_beta1, weight_decay=plan.adam_weight_decay)


MAKERS: Mapping[str, Callable[[Groups, TrainingPlan], Optimizer]] = {
    "AdamW": _adamw,
    EIGHT_BIT: _adamw_8bit,
    "Prodigy": _prodigy,
    "Adafactor": _adafactor,
    "SGD": _sgd,
}


def _problem(message: str) -> InvalidRequest:
    return InvalidRequest(Problem(field="optimizer", message=message))
