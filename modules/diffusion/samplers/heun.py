"""Heun's second-order method: Karras et al. 2022, arXiv:2206.00364, Algorithm 2."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl
from modules.diffusion.churn import CHURN, Churn


def heun(
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
        x, denoised = heun_step(denoise, x, sigma_hat, sigma_next)
        on_step(step, x, denoised)
    return x


def heun_step(denoise: Denoise, x: Tensor, sigma: float, sigma_next: float) -> tuple[Tensor, Tensor]:
    """(x at the next level, estimate at this one): the trapezoidal rule with an Euler step to look ahead."""
    denoised = denoise(x, sigma)
    d = (x - denoised) / sigma
    ahead = x + d * (sigma_next - sigma)
    if sigma_next == 0:  # there is no slope at 0
        return ahead, denoised
    d_next = (ahead - denoise(ahead, sigma_next)) / sigma_next
    return x + (d + d_next) / 2 * (sigma_next - sigma), denoised


@hookimpl
def register_samplers() -> list[Sampler]:
    return [Sampler(name="Heun", sample=heun, aliases=("k_heun",), order=2, options=("noise", *CHURN))]
