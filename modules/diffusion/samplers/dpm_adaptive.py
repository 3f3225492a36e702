"""DPM-Solver-12/23 with steps as long as the error allows: Lu et al. 2022, arXiv:2206.00927, Algorithm 3, appendix C.

The step length is steered as in Söderlind 2003, "Digital filters in adaptive time-stepping", by k-diffusion's constants.
`sigmas` gives the beginning only; it ends at the model's lowest level.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl
from modules.diffusion.ancestral import ANCESTRAL
from modules.diffusion.dpm_solver import Start, ends_of, noisy_target

RELATIVE, ABSOLUTE = 0.05, 0.0078  # error that is let pass
FIRST = 0.05  # length of the first step, in log sigma
SAFETY = 0.81
ENOUGH = 1e-5
MOST_STEPS = 1000  # accepted or not; the network's answers make no sense if it takes more


def dpm_adaptive(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    on_step: OnStep,
    *,
    noise: Callable[[], Tensor],
    table: Sequence[float],
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    at, end = ends_of(sigmas, table)
    begin, h = at, FIRST
    order = 1.5 if eta > 0 else 3.0
    low_before = x
    for _ in range(MOST_STEPS):
        if at >= end - ENOUGH:
            break
        to = min(end, at + h)
        target, up = noisy_target(at, to, end, eta)
        start = Start(denoise, x, at)
        low, high = start.second(target, r1=1 / 3), start.third(target)
        factor = _factor(low, high, low_before, order)
        if math.isnan(factor):
            return high
        if factor >= SAFETY:
            x, at, low_before = high + noise() * (s_noise * up), to, low
            done = (at - begin) / (end - begin)
            on_step(max(0, math.ceil(done * (len(sigmas) - 1)) - 1), x, start.denoised)
        h *= factor
    return x


def _factor(low: Tensor, high: Tensor, low_before: Tensor, order: float) -> float:
    """How much longer the next step may be; below SAFETY this one is to be tried again."""
    allowed = torch.maximum(low.abs(), low_before.abs()).mul(RELATIVE).clamp_min(ABSOLUTE)
    error = ((low - high) / allowed).square().mean().sqrt().item()
    return 1 + math.atan((1 / (error + 1e-8)) ** (1 / order) - 1)


@hookimpl
def register_samplers() -> list[Sampler]:
    return [
        Sampler(
            name="DPM adaptive",
            sample=dpm_adaptive,
            aliases=("k_dpm_ad", "k_dpm_adaptive"),
            options=(*ANCESTRAL, "table"),
            ensd=True,
            alone=True,
        )
    ]
