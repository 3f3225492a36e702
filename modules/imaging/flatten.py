"""Any picture as upright RGB: turned as its camera says, transparency on a background colour, deep greys brought to 8 bits."""

import numpy as np
from PIL import Image, ImageColor, ImageOps

from modules.core.errors import InvalidOption

WHITE = "#ffffff"


def flattened(picture: Image.Image, background: str = WHITE) -> Image.Image:
    """The picture in RGB, upright; what is transparent shows `background`. Raises InvalidOption for no colour."""
    upright = eight_bit(ImageOps.exif_transpose(picture))
    if not transparent(upright):
        return upright.convert("RGB")
    layer = upright.convert("RGBA")
    sheet = Image.new("RGBA", layer.size, (*colour(background), 255))
    sheet.alpha_composite(layer)
    return sheet.convert("RGB")


def colour(text: str) -> tuple[int, int, int]:
    """A colour as HTML writes it. Raises InvalidOption.

    >>> colour("#ff8000")
    (255, 128, 0)
    """
    try:
        return ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise InvalidOption(f"{text[:80]!r} is no colour; write one like #ffffff.") from error


def transparent(picture: Image.Image) -> bool:
    """Whether a picture has a place that is not opaque."""
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        return picture.convert("RGBA").getextrema()[3] != (255, 255)
    return "transparency" in picture.info


def eight_bit(picture: Image.Image) -> Image.Image:
    """Greys of 16 or 32 bits as 8 bits: Pillow would clip them to white."""
    if picture.mode not in ("I", "I;16", "I;16L", "I;16B", "F"):
        return picture
    values = np.asarray(picture, dtype=np.float64)
    highest = 65535.0 if picture.mode.startswith("I") else max(1.0, float(values.max(initial=0.0)))
    return Image.fromarray(np.rint(np.clip(values / highest, 0, 1) * 255).astype(np.uint8))
