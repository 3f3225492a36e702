"""Denoising diffusion implicit models: Song et al. 2020, arXiv:2010.02502, eq. 12.

Divided by √ᾱ, eq. 12 reads x' = D + √(sigma'² - up²) eps + up z in the variance-exploding form used here.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl
from modules.diffusion.ancestral import split_step
from modules.diffusion.schedules.ddim import ddim_sigmas


def ddim(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    on_step: OnStep,
    *,
    noise: Callable[[], Tensor],
    eta: float = 0.0,
) -> Tensor:
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        down, up = split_step(sigma, sigma_next, eta)
        eps = (x - denoised) / sigma
        x = denoised + down * eps
        if up > 0:
            x = x + up * noise()
        on_step(step, x, denoised)
    return x


def ddim_levels(steps: int, table: Sequence[float], last: int | None = None) -> list[float]:
    """DDIM's timesteps; its last step ends on the first training level, where the trained model's data lies, not on 0."""
    levels = [*ddim_sigmas(steps, table)[:-1], table[0]]
    return levels if last is None else levels[-(last + 1) :]


@hookimpl
def register_samplers() -> list[Sampler]:
    return [Sampler(name="DDIM", sample=ddim, schedule="DDIM", options=("noise", "eta"), levels=ddim_levels)]
