"""Heun's method that goes back up with fresh noise in the middle: Xu et al. 2023, arXiv:2306.14878, Algorithm 1.

The restarts are those of the field: from 20 steps on once, from 36 on twice, between about sigma 0.1 and 2.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl
from modules.diffusion.samplers.heun import heun_step
from modules.diffusion.schedules.karras import karras

FROM, UP_TO = 0.1, 2.0  # sigma
FEW, MANY = 20, 36  # steps


def restart(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    on_step: OnStep,
    *,
    noise: Callable[[], Tensor],
    s_noise: float = 1.0,
) -> Tensor:
    level = sigmas[0]
    for step, (sigma, sigma_next) in enumerate(restart_steps(sigmas)):
        if sigma > level:
            x = x + noise() * (s_noise * math.sqrt(sigma**2 - level**2))
        x, denoised = heun_step(denoise, x, sigma, sigma_next)
        on_step(step, x, denoised)
        level = sigma_next
    return x


def restart_steps(sigmas: Sequence[float]) -> list[tuple[float, float]]:
    """(from, to) of as many steps as the levels have; with restarts their levels are Karras' between the same ends."""
    steps = len(sigmas) - 1
    if steps < FEW:
        return list(pairwise(sigmas))
    length, times = (steps // 4, 2) if steps >= MANY else (9, 1)
    levels = _between(steps - length * times, sigmas[0], sigmas[-2])
    low, high = _nearest(levels, FROM), _nearest(levels, UP_TO)
    again = _between(length + 1, levels[high], levels[low])[:-1] if high < low else []
    return [*pairwise(levels[: low + 1]), *list(pairwise(again)) * times, *pairwise(levels[low:])]


def _between(steps: int, high: float, low: float) -> list[float]:
    return karras(steps, (low, high))


def _nearest(levels: Sequence[float], sigma: float) -> int:
    return min(range(len(levels)), key=lambda index: abs(levels[index] - sigma))


@hookimpl
def register_samplers() -> list[Sampler]:
    return [Sampler(name="Restart", sample=restart, order=2, schedule="Karras", options=("noise", "s_noise"))]
