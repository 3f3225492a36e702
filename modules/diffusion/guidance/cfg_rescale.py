"""Guidance that keeps the contrast: Lin et al. 2023, arXiv:2305.08891, §3.4, eqs. 14 to 16.

Strong guidance makes pictures over-exposed, above all of models that predict v. The guided v is scaled back to the spread
it has without guidance, by the part `guidance_rescale`. With v = (x / (sigma² + 1) - D) √(sigma² + 1) / sigma.
"""

import math

from torch import Tensor

from modules.core.extension_points import Guidance, hookimpl
from modules.diffusion.guidance.cfg import cfg


def cfg_rescale(
    cond: Tensor, uncond: Tensor, scale: float, *, x: Tensor, sigma: float, guidance_rescale: float = 0.7
) -> Tensor:
    root, base = math.sqrt(sigma**2 + 1) / sigma, x / (sigma**2 + 1)
    v_cond, v = (base - cond) * root, (base - cfg(cond, uncond, scale)) * root
    kept = v_cond.std((1, 2, 3), keepdim=True) / v.std((1, 2, 3), keepdim=True)
    return base - v * (guidance_rescale * kept + 1 - guidance_rescale) / root


@hookimpl
def register_guidance() -> list[Guidance]:
    return [
        Guidance(
            name="CFG rescale",
            combine=cfg_rescale,
            aliases=("rescale",),
            options=("x", "sigma", "guidance_rescale"),
        )
    ]
