"""Upscalers that need no model: none at all, Lanczos' windowed sinc, and the nearest pixel."""

from functools import partial

from PIL import Image

from modules.core.extension_points import Upscaler, hookimpl


def unchanged(image: Image.Image, scale: float) -> Image.Image:
    """The picture as it is."""
    return image


def scaled(image: Image.Image, scale: float, method: Image.Resampling) -> Image.Image:
    """The picture, `scale` times as large on both sides."""
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), method)


@hookimpl
def register_upscalers() -> list[Upscaler]:
    lanczos = partial(scaled, method=Image.Resampling.LANCZOS)
    nearest = partial(scaled, method=Image.Resampling.NEAREST)
    return [
        Upscaler(name="None", run=unchanged, note="leaves the picture as it is"),
        Upscaler(name="Lanczos", run=lanczos, note="smooth, no model needed"),
        Upscaler(name="Nearest", run=nearest, note="keeps pixels square: for pixel art"),
    ]
