"""Dynamic thresholding: Saharia et al. 2022 (Imagen), arXiv:2205.11487, §2.3, on latents.

Pixels end at 1, latents do not; in place of 1 stands what the same percentile is without guidance. Each channel is taken
from its mean, so that colours stay.
"""

import torch
from torch import Tensor

from modules.core.extension_points import Guidance, hookimpl
from modules.diffusion.guidance.cfg import cfg


def dynamic_thresholding(cond: Tensor, uncond: Tensor, scale: float, *, threshold_percentile: float = 0.995) -> Tensor:
    guided = cfg(cond, uncond, scale)
    mean = guided.mean((2, 3), keepdim=True)
    wanted = _extent(cond - cond.mean((2, 3), keepdim=True), threshold_percentile)
    deviation = guided - mean
    extent = torch.maximum(_extent(deviation, threshold_percentile), wanted)
    return mean + deviation.clamp(-extent, extent) * (wanted / extent)


def _extent(deviation: Tensor, percentile: float) -> Tensor:
    """The distance from 0 within which this part of a picture's values lies: (b, 1, 1, 1)."""
    return torch.quantile(deviation.flatten(1).abs(), percentile, dim=1).view(-1, 1, 1, 1).clamp_min(1e-6)


@hookimpl
def register_guidance() -> list[Guidance]:
    return [
        Guidance(
            name="Dynamic thresholding",
            combine=dynamic_thresholding,
            aliases=("thresholding",),
            options=("threshold_percentile",),
        )
    ]
