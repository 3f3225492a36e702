"""Latents in, latents out: a sampler run over a schedule."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from modules.core.errors import NotFinite
from modules.core.extension_points import Denoise, OnStep, Sampler, Schedule
from modules.core.named import Names


def schedule_for(sampler: Sampler, name: str, schedules: Names[Schedule]) -> Schedule:
    """The schedule called `name`; Automatic is the sampler's own. Raises UnknownName."""
    chosen = schedules.find(name)
    return schedules.find(sampler.schedule) if chosen.key == "automatic" else chosen


def sigmas_for(
    sampler: Sampler, name: str, schedules: Names[Schedule], steps: int, table: Sequence[float]
) -> list[float]:
    """The noise levels to visit, one more than there are steps. A sampler with levels of its own keeps to them.

    There may be more steps than asked for (DDIM); count them as len(sigmas) - 1.
    """
    if sampler.levels is not None:
        return sampler.levels(steps, table)
    return schedule_for(sampler, name, schedules).sigmas(steps, table)


def schedule_label(sampler: Sampler, name: str, schedules: Names[Schedule]) -> str:
    """The schedule as a picture's text names it: the one that had an effect, else "Automatic"."""
    if sampler.levels is not None:
        return "Automatic"
    schedule = schedule_for(sampler, name, schedules)
    sampler_has_none = schedule.name == "Uniform" and schedules.find(name).key == "automatic"
    return "Automatic" if sampler_has_none else schedule.name


@dataclass(frozen=True, kw_only=True)
class SamplingPlan:
    """Everything that decides about the latents of one batch.

    `sigmas`: falling, n + 1 of them for n steps. `noise`: answers (b, c, h, w) unit noise, float32, on the device to
    work on; first the starting noise, then what the sampler draws. `eta`: None is the sampler's own.
    """

    denoise: Denoise
    sampler: Sampler
    sigmas: Sequence[float]
    noise: Callable[[], Tensor]
    on_step: OnStep
    eta: float | None = None


@torch.inference_mode()
def text_to_image(plan: SamplingPlan) -> Tensor:
    """From pure noise to latents (b, c, h, w), float32, at unit scale.

    Raises NotFinite when the network answered NaN or infinity, and whatever `on_step` raises.
    """
    variance_preserving = plan.sampler.levels is not None
    first, last = plan.sigmas[0], plan.sigmas[-1]
    x = plan.noise() * (math.sqrt(1 + first**2) if variance_preserving else first)
    x = plan.sampler.sample(plan.denoise, x, plan.sigmas, plan.on_step, **_options(plan))
    if variance_preserving and last > 0:
        x = x / math.sqrt(1 + last**2)
    if not torch.isfinite(x).all():  # asked once, at the end: asking at each step would make the host wait for it
        raise NotFinite("The model answered with numbers that are not finite; try --no-half or another model.")
    return x


def _options(plan: SamplingPlan) -> dict[str, Any]:
    """The keyword arguments the plan's sampler takes."""
    known: dict[str, Any] = {"noise": plan.noise}
    if plan.eta is not None:
        known["eta"] = plan.eta
    return {name: value for name, value in known.items() if name in plan.sampler.options}
