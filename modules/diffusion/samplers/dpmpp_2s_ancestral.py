"""DPM-Solver++(2S), single-step on the data prediction, with fresh noise: Lu et al. 2022, arXiv:2211.01095, Algorithm 1."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl
from modules.diffusion.ancestral import ANCESTRAL, split_step


def dpmpp_2s_ancestral(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    on_step: OnStep,
    *,
    noise: Callable[[], Tensor],
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = target = denoise(x, sigma)
        sigma_down, sigma_up = split_step(sigma, sigma_next, eta)
        if sigma_down > 0:
            middle = math.sqrt(sigma * sigma_down)  # halfway in lambda = -log sigma
            target = denoise(_moved(x, denoised, middle / sigma), middle)
        x = _moved(x, target, sigma_down / sigma)
        if sigma_next > 0:
            x = x + noise() * (s_noise * sigma_up)
        on_step(step, x, denoised)
    return x


def _moved(x: Tensor, target: Tensor, shrink: float) -> Tensor:
    """The exact step for an estimate that stays the same; shrink = e^-h = sigma' / sigma."""
    return shrink * x + (1 - shrink) * target


@hookimpl
def register_samplers() -> list[Sampler]:
    return [
        Sampler(
            name="DPM++ 2S a",
            sample=dpmpp_2s_ancestral,
            aliases=("k_dpmpp_2s_a", "k_dpmpp_2s_a_ka", "DPM++ 2S Ancestral"),
            order=2,
            schedule="Karras",
            options=ANCESTRAL,
            ensd=True,
        )
    ]
