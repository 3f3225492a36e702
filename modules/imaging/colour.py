"""Bring a picture's colours back to those of another: histograms matched in CIE L*a*b*, brightness kept as it is.

Histogram matching: Gonzalez and Woods, Digital Image Processing, §3.3. L*a*b*: CIE 15, white D65, from sRGB
(IEC 61966-2-1). Keeping the brightness: the "luminosity" blend of W3C Compositing and Blending Level 1, §10.1.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE_D65 = RGB_TO_XYZ.sum(axis=1)
KAPPA, EPSILON = 24389 / 27, 216 / 24389
BRIGHTNESS = np.array([0.3, 0.59, 0.11])


def corrected(image: Image.Image, like: Image.Image) -> Image.Image:
    """`image` with the colours of `like` (their distribution, wherever they stand) and its own light and shade."""
    target = _lab_bytes(_rgb(like))
    matched = _matched(_lab_bytes(_rgb(image)), target)
    coloured = np.clip(_rgb_of(matched), 0, 1)
    result = _with_brightness(coloured, _rgb(image) @ BRIGHTNESS)
    return Image.fromarray(np.rint(result * 255).astype(np.uint8))


def _rgb(image: Image.Image) -> Floats:
    return np.asarray(image.convert("RGB"), dtype=np.float64) / 255


def _lab_bytes(rgb: Floats) -> NDArray[np.uint8]:
    """(H, W, 3) sRGB 0 to 1 as L*a*b* in bytes: L* times 2.55, a* and b* plus 128."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    scaled = linear @ RGB_TO_XYZ.T / WHITE_D65
    f = np.where(scaled > EPSILON, np.cbrt(scaled), (KAPPA * scaled + 16) / 116)
    lightness = 116 * f[..., 1] - 16
    lab = (lightness * 2.55, 500 * (f[..., 0] - f[..., 1]) + 128, 200 * (f[..., 1] - f[..., 2]) + 128)
    return np.rint(np.clip(np.stack(lab, axis=-1), 0, 255)).astype(np.uint8)


def _rgb_of(lab: Floats) -> Floats:
    """The inverse of `_lab_bytes`, not clipped."""
    fy = (lab[..., 0] / 2.55 + 16) / 116
    fx, fz = fy + (lab[..., 1] - 128) / 500, fy - (lab[..., 2] - 128) / 200
    f = np.stack((fx, fy, fz), axis=-1)
    scaled = np.where(f**3 > EPSILON, f**3, (116 * f - 16) / KAPPA)
    linear = np.clip((scaled * WHITE_D65) @ np.linalg.inv(RGB_TO_XYZ).T, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def _matched(source: NDArray[np.uint8], target: NDArray[np.uint8]) -> Floats:
    """Each channel's values replaced by those of the target at the same place in the order from dark to bright."""
    channels = [_channel_matched(source[..., index], target[..., index]) for index in range(3)]
    return np.stack(channels, axis=-1)


def _channel_matched(source: NDArray[np.uint8], target: NDArray[np.uint8]) -> Floats:
    counts = np.bincount(target.ravel(), minlength=256)
    values = np.flatnonzero(counts)
    places = np.cumsum(counts[values]) / target.size
    own = np.cumsum(np.bincount(source.ravel(), minlength=256)) / source.size
    return np.interp(own, places, values)[source]


def _with_brightness(rgb: Floats, brightness: Floats) -> Floats:
    """The colours moved to another brightness; what leaves 0 to 1 is drawn towards grey of that brightness."""
    moved = rgb + (brightness - rgb @ BRIGHTNESS)[..., None]
    grey = brightness[..., None]
    lowest, highest = moved.min(axis=-1, keepdims=True), moved.max(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.where(lowest < 0, grey + (moved - grey) * grey / (grey - lowest), moved)
        moved = np.where(highest > 1, grey + (moved - grey) * (1 - grey) / (highest - grey), moved)
    return np.clip(np.nan_to_num(moved), 0, 1)
