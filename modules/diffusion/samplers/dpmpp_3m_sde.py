"""SDE-DPM-Solver++(3M), three-step multistep: Lu et al. 2022, arXiv:2211.01095, carried one order on by Crowson (k-diffusion)."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl
from modules.diffusion.ancestral import BROWNIAN

Estimate = tuple[Tensor, float]  # a denoised estimate, and the h of the step that it was made for


def dpmpp_3m_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    on_step: OnStep,
    *,
    brownian: Callable[[float, float], Tensor],
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """The estimate follows its slope and curvature at the last three of them; h = log(sigma / sigma').

    The curvature counts half of what an exact integral of a parabola has, as in the paper's own program and all others.
    """
    before: list[Estimate] = []  # latest first
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        if sigma_next == 0:
            x = denoised
        else:
            h = math.log(sigma / sigma_next)
            g = (1 + eta) * h
            x = math.exp(-g) * x - math.expm1(-g) * denoised + _bend(denoised, before, h, g)
            if eta > 0:
                x = x + brownian(sigma, sigma_next) * (s_noise * sigma_next * math.sqrt(-math.expm1(-2 * eta * h)))
            before = [(denoised, h), *before[:1]]
        on_step(step, x, denoised)
    return x


def _bend(denoised: Tensor, before: Sequence[Estimate], h: float, g: float) -> Tensor | float:
    """What the estimate's slope and curvature add to a step."""
    if not before:
        return 0.0
    phi_2 = math.expm1(-g) / g + 1
    one_back, r_1 = before[0][0], before[0][1] / h
    slope = (denoised - one_back) / r_1
    if len(before) == 1:
        return phi_2 * slope
    two_back, r_2 = before[1][0], before[1][1] / h
    slope_before = (one_back - two_back) / r_2
    curvature = (slope - slope_before) / (r_1 + r_2)
    return phi_2 * (slope + curvature * r_1) - (phi_2 / g - 0.5) * curvature


@hookimpl
def register_samplers() -> list[Sampler]:
    return [
        Sampler(
            name="DPM++ 3M SDE",
            sample=dpmpp_3m_sde,
            aliases=("k_dpmpp_3m_sde", "k_dpmpp_3m_sde_exp"),
            schedule="Exponential",
            options=BROWNIAN,
            discards=True,
        )
    ]
