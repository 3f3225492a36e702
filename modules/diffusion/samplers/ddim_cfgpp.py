"""DDIM that renoises with the unconditional noise: CFG++, Chung et al. 2024, arXiv:2406.08070, Algorithm 2.

Its guidance scale lies between 0 and 1; the field's CFG Scale is divided by 12.5 to get there.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl
from modules.diffusion.ancestral import split_step
from modules.diffusion.guided import apart
from modules.diffusion.samplers.ddim import ddim_levels

SHARE = 1 / 12.5


def ddim_cfgpp(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    on_step: OnStep,
    *,
    noise: Callable[[], Tensor],
    eta: float = 0.0,
) -> Tensor:
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, uncond = apart(denoise, x, sigma, SHARE)
        down, up = split_step(sigma, sigma_next, eta)
        x = denoised + down * (x - uncond) / sigma
        if up > 0:
            x = x + up * noise()
        on_step(step, x, denoised)
    return x


@hookimpl
def register_samplers() -> list[Sampler]:
    return [
        Sampler(
            name="DDIM CFG++",
            sample=ddim_cfgpp,
            aliases=("ddim_cfgpp",),
            schedule="DDIM",
            options=("noise", "eta"),
            levels=ddim_levels,
        )
    ]
