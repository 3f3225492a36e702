"""Euler steps below the next level, fresh noise up to it: ancestral sampling as of Song et al. 2020, arXiv:2010.02502."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl
from modules.diffusion.ancestral import ANCESTRAL, split_step


def euler_ancestral(
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
        denoised = denoise(x, sigma)
        sigma_down, sigma_up = split_step(sigma, sigma_next, eta)
        d = (x - denoised) / sigma
        x = x + d * (sigma_down - sigma)
        if sigma_next > 0:  # also at eta 0: what later steps draw must not depend on it
            x = x + noise() * (s_noise * sigma_up)
        on_step(step, x, denoised)
    return x


@hookimpl
def register_samplers() -> list[Sampler]:
    aliases = ("k_euler_a", "k_euler_ancestral", "Euler Ancestral")
    return [Sampler(name="Euler a", sample=euler_ancestral, aliases=aliases, options=ANCESTRAL, ensd=True)]
