"""Between the two passes of hires fix: latents, or the pictures they stand for, made larger."""

from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from modules.core.extension_points import Upscaler
from modules.core.requests import ImageRequest
from modules.engine.decode import decode, encode, pixels_of
from modules.engine.job import JobContext
from modules.families.built import Built

LATENT = {
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """The size to enlarge to, and the part of it that is kept; in latents, width first."""

    width: int
    height: int
    kept_width: int
    kept_height: int


def target_of(request: ImageRequest, downscale: int) -> Target:
    """With both sides given, the picture is made to cover them and what hangs over is cut off, the same on both sides."""
    width, height = (side // downscale for side in request.hires_size)
    if not (request.hr_resize_x and request.hr_resize_y):
        return Target(width=width, height=height, kept_width=width, kept_height=height)
    x, y = request.hires_size
    if x * request.height > y * request.width:  # wider than the first picture: its height will hang over
        covering = (x, x * request.height // request.width)
    else:
        covering = (y * request.width // request.height, y)
    wide, high = (max(side // downscale, least) for side, least in zip(covering, (width, height), strict=True))
    return Target(width=wide, height=high, kept_width=width, kept_height=height)


def latents_enlarged(latents: Tensor, mode: str, target: Target) -> Tensor:
    """Latents (b, c, h, w) at the target's size; `mode` is one of LATENT."""
    way, antialias = LATENT[mode]
    larger = interpolate(latents, size=(target.height, target.width), mode=way, antialias=antialias)
    return cut(larger, target)


def cut(latents: Tensor, target: Target) -> Tensor:
    """The middle of larger latents that is kept."""
    top, left = (target.height - target.kept_height) // 2, (target.width - target.kept_width) // 2
    return latents[..., top : top + target.kept_height, left : left + target.kept_width].contiguous()


def pictures_enlarged(
    latents: Tensor, first: Built, second: Built, request: ImageRequest, target: Target, context: JobContext
) -> Tensor:
    """Latents of one model decoded, made larger as pictures, and encoded for the model of the second pass."""
    from modules.engine.upscalers import find_upscaler

    upscaler = find_upscaler(request.hr_upscaler, context)
    found: list[Tensor] = []
    for latent in latents:
        context.check()
        picture = _enlarged(decode(first, latent, context.notes), upscaler, target, second.downscale)
        found.append(encode(second, pixels_of(picture), context.notes))
    return torch.cat(found).to(second.device)


def _enlarged(picture: Image.Image, upscaler: Upscaler, target: Target, downscale: int) -> Image.Image:
    """A picture made larger and cut to whole latents."""
    size = (target.width * downscale, target.height * downscale)
    larger = upscaler.run(picture, max(size[0] / picture.width, size[1] / picture.height))
    if larger.size != size:
        larger = larger.resize(size, Image.Resampling.LANCZOS)
    left = (target.width - target.kept_width) // 2 * downscale
    top = (target.height - target.kept_height) // 2 * downscale
    return larger.crop((left, top, left + target.kept_width * downscale, top + target.kept_height * downscale))
