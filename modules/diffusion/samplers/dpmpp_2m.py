"""DPM-Solver++(2M), two-step multistep on the data prediction: Lu et al. 2022, arXiv:2211.01095, Algorithm 2."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl


def dpmpp_2m(denoise: Denoise, x: Tensor, sigmas: Sequence[float], on_step: OnStep) -> Tensor:
    """With lambda = -log sigma, h = lambda' - lambda and e^-h = sigma' / sigma: no infinity at sigma' = 0."""
    denoised_before, h_before = None, 0.0
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        shrink = sigma_next / sigma
        h = -math.log(shrink) if shrink > 0 else math.inf
        if denoised_before is None or sigma_next == 0:  # first order: nothing to go by, or h is infinite
            target = denoised
        else:
            r = h_before / h
            target = denoised + (denoised - denoised_before) / (2 * r)
        x = shrink * x + (1 - shrink) * target
        denoised_before, h_before = denoised, h
        on_step(step, x, denoised)
    return x


@hookimpl
def register_samplers() -> list[Sampler]:
    return [Sampler(name="DPM++ 2M", sample=dpmpp_2m, aliases=("k_dpmpp_2m", "k_dpmpp_2m_ka"), schedule="Karras")]
