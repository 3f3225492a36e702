"""DPM2 below the next level, fresh noise up to it: Lu et al. 2022, arXiv:2206.00927, with Song et al. 2020, arXiv:2010.02502."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl
from modules.diffusion.ancestral import ANCESTRAL, split_step
from modules.diffusion.samplers.dpm2 import midpoint_step


def dpm2_ancestral(
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
        sigma_down, sigma_up = split_step(sigma, sigma_next, eta)
        x, denoised = midpoint_step(denoise, x, sigma, sigma_down)
        if sigma_next > 0:
            x = x + noise() * (s_noise * sigma_up)
        on_step(step, x, denoised)
    return x


@hookimpl
def register_samplers() -> list[Sampler]:
    return [
        Sampler(
            name="DPM2 a",
            sample=dpm2_ancestral,
            aliases=("k_dpm_2_a", "k_dpm_2_a_ka", "k_dpm_2_ancestral", "DPM2 Ancestral"),
            order=2,
            schedule="Karras",
            options=ANCESTRAL,
            ensd=True,
            discards=True,
        )
    ]
