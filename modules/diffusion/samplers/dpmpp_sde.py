"""DPM-Solver++(2S) for the SDE, on a Brownian path: Lu et al. 2022, arXiv:2211.01095, §5; the noise is k-diffusion's split."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl
from modules.diffusion.ancestral import BROWNIAN, split_step


def dpmpp_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    on_step: OnStep,
    *,
    brownian: Callable[[float, float], Tensor],
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Both the look ahead and the step are ancestral steps; the path tells the noise of either."""

    def moved(target: Tensor, sigma: float, sigma_to: float) -> Tensor:
        down, up = split_step(sigma, sigma_to, eta)
        shrink = down / sigma
        stepped = shrink * x + (1 - shrink) * target
        return stepped + brownian(sigma, sigma_to) * (s_noise * up) if up > 0 else stepped

    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        if sigma_next == 0:
            x = denoised
        else:
            middle = math.sqrt(sigma * sigma_next)
            x = moved(denoise(moved(denoised, sigma, middle), middle), sigma, sigma_next)
        on_step(step, x, denoised)
    return x


@hookimpl
def register_samplers() -> list[Sampler]:
    return [
        Sampler(
            name="DPM++ SDE",
            sample=dpmpp_sde,
            aliases=("k_dpmpp_sde", "k_dpmpp_sde_ka"),
            order=2,
            schedule="Karras",
            options=BROWNIAN,
        )
    ]
