"""Midpoint rule in log sigma, DPM-Solver-2: Lu et al. 2022, arXiv:2206.00927, Algorithm 1, on Karras' ODE and with his churn."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl
from modules.diffusion.churn import CHURN, Churn


def dpm2(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    on_step: OnStep,
    *,
    noise: Callable[[], Tensor],
    **churn: float,
) -> Tensor:
    churned = Churn(noise, len(sigmas) - 1, **churn)
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x, sigma_hat = churned(x, sigma)
        x, denoised = midpoint_step(denoise, x, sigma_hat, sigma_next)
        on_step(step, x, denoised)
    return x


def midpoint_step(denoise: Denoise, x: Tensor, sigma: float, sigma_next: float) -> tuple[Tensor, Tensor]:
    """(x at the next level, estimate at this one): the slope halfway, on a logarithmic scale, is taken for the whole step."""
    denoised = denoise(x, sigma)
    d = (x - denoised) / sigma
    if sigma_next == 0:
        return x + d * (sigma_next - sigma), denoised
    middle = math.sqrt(sigma * sigma_next)
    x_middle = x + d * (middle - sigma)
    d_middle = (x_middle - denoise(x_middle, middle)) / middle
    return x + d_middle * (sigma_next - sigma), denoised


@hookimpl
def register_samplers() -> list[Sampler]:
    return [
        Sampler(
            name="DPM2",
            sample=dpm2,
            aliases=("k_dpm_2", "k_dpm_2_ka"),
            order=2,
            schedule="Karras",
            options=("noise", *CHURN),
            discards=True,
        )
    ]
