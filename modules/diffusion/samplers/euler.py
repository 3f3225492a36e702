"""Euler's method on the probability-flow ODE: Karras et al. 2022, arXiv:2206.00364, Algorithm 2 without churn."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl


def euler(denoise: Denoise, x: Tensor, sigmas: Sequence[float], on_step: OnStep) -> Tensor:
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        d = (x - denoised) / sigma  # dx/dsigma
        x = x + d * (sigma_next - sigma)
        on_step(step, x, denoised)
    return x


@hookimpl
def register_samplers() -> list[Sampler]:
    return [Sampler(name="Euler", sample=euler, aliases=("k_euler",))]
