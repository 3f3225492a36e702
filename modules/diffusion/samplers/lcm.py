"""Multistep sampling of latent consistency models: Luo et al. 2023, arXiv:2310.04378, Algorithm 3.

Its boundary condition is left out: it moves an estimate by less than 1e-5 at the levels that are visited.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl

TAUGHT = 50


def lcm(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], on_step: OnStep, *, noise: Callable[[], Tensor]
) -> Tensor:
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x = denoised = denoise(x, sigma)
        if sigma_next > 0:
            x = denoised + sigma_next * noise()
        on_step(step, x, denoised)
    return x


def distilled(table: Sequence[float]) -> Sequence[float]:
    """The levels that such models were taught at: 50 of the 1000, the last among them."""
    stride = max(1, len(table) // TAUGHT)
    return table[stride - 1 :: stride]


@hookimpl
def register_samplers() -> list[Sampler]:
    return [Sampler(name="LCM", sample=lcm, aliases=("k_lcm",), options=("noise",), table=distilled)]
