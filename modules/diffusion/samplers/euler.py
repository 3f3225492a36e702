"""Euler's method on the probability-flow ODE: Karras et al. 2022, arXiv:2206.00364, Algorithm 2 without its lines 6 to 8."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl
from modules.diffusion.churn import CHURN, Churn


def euler(
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
        denoised = denoise(x, sigma_hat)
        d = (x - denoised) / sigma_hat  # dx/dsigma
        x = x + d * (sigma_next - sigma_hat)
        on_step(step, x, denoised)
    return x


@hookimpl
def register_samplers() -> list[Sampler]:
    return [Sampler(name="Euler", sample=euler, aliases=("k_euler",), options=("noise", *CHURN))]
