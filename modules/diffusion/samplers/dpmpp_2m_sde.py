"""SDE-DPM-Solver++(2M), two-step multistep for the SDE: Lu et al. 2022, arXiv:2211.01095, eq. 18, for any share eta of noise.

The "Heun" variant takes the exact integral of a straight line through two estimates, the other one its midpoint.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl
from modules.diffusion.ancestral import BROWNIAN


def dpmpp_2m_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    on_step: OnStep,
    *,
    brownian: Callable[[float, float], Tensor],
    eta: float = 1.0,
    s_noise: float = 1.0,
    exact_line: bool = False,
) -> Tensor:
    """With lambda = -log sigma, h = lambda' - lambda; the estimate's weight is 1 - e^(-(1 + eta) h)."""
    denoised_before, h_before = None, 0.0
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        if sigma_next == 0:
            x = denoised
        else:
            h = math.log(sigma / sigma_next)
            g = (1 + eta) * h
            x = math.exp(-g) * x - math.expm1(-g) * denoised
            if denoised_before is not None:
                slope = (denoised - denoised_before) * (h / h_before)  # over one step
                x = x + (math.expm1(-g) / g + 1 if exact_line else -math.expm1(-g) / 2) * slope
            if eta > 0:
                x = x + brownian(sigma, sigma_next) * (s_noise * sigma_next * math.sqrt(-math.expm1(-2 * eta * h)))
            h_before = h
        denoised_before = denoised
        on_step(step, x, denoised)
    return x


@hookimpl
def register_samplers() -> list[Sampler]:
    return [
        Sampler(
            name="DPM++ 2M SDE",
            sample=dpmpp_2m_sde,
            aliases=("k_dpmpp_2m_sde", "k_dpmpp_2m_sde_exp"),
            schedule="Exponential",
            options=BROWNIAN,
        ),
        Sampler(
            name="DPM++ 2M SDE Heun",
            sample=partial(dpmpp_2m_sde, exact_line=True),
            aliases=("k_dpmpp_2m_sde_heun", "k_dpmpp_2m_sde_heun_exp"),
            schedule="Exponential",
            options=BROWNIAN,
        ),
    ]
