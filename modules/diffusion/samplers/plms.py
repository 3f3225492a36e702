"""Pseudo linear multistep, order 4, on DDIM's timesteps: Liu et al. 2022, arXiv:2202.09778, eqs. 12 and 13, started by eq. 14."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl
from modules.diffusion.samplers.ddim import ddim_levels

WEIGHTS = {2: (3 / 2, -1 / 2), 3: (23 / 12, -16 / 12, 5 / 12), 4: (55 / 24, -59 / 24, 37 / 24, -9 / 24)}


def plms(denoise: Denoise, x: Tensor, sigmas: Sequence[float], on_step: OnStep) -> Tensor:
    """The noise is a mean of the latest estimates of it; the first step, which has only one, looks ahead."""
    known: list[Tensor] = []  # estimates of the noise, latest first
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        eps = (x - denoised) / sigma
        known = [eps, *known[:3]]
        if len(known) > 1:
            mean = sum(weight * one for weight, one in zip(WEIGHTS[len(known)], known, strict=True))
        elif sigma_next > 0:
            ahead = x + eps * (sigma_next - sigma)
            mean = (eps + (ahead - denoise(ahead, sigma_next)) / sigma_next) / 2
        else:
            mean = eps
        x = x + mean * (sigma_next - sigma)
        on_step(step, x, denoised)
    return x


@hookimpl
def register_samplers() -> list[Sampler]:
    return [Sampler(name="PLMS", sample=plms, schedule="DDIM", levels=ddim_levels)]
