"""Paste a softly inpainted picture: where it has changed it is shown, where it has not the original comes back."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

THRESHOLD = 0.5  # of the mean change inside the mask: what changed as much is half shown
CONTRAST = 2.0
SMOOTHING = 2.0  # pixels
RAMP = 8.0  # the outermost eighth of the mask's edge fades to nothing, so that there is no seam


def adaptive_overlay(original: Image.Image, result: Image.Image, mask: Image.Image) -> Image.Image:
    """How much of `result` is to be seen (mode L), from how much it differs from `original`; all of one size.

    Never less than the mask says, and exactly nothing where the mask is black.
    """
    m = np.asarray(mask, dtype=np.float64) / 255
    change = _change(original, result)
    painted = m.sum()
    typical = float((change * m).sum() / painted) if painted else 0.0
    shown = _smoothstep((change / (2 * THRESHOLD * typical)) ** CONTRAST) if typical > 0 else np.zeros_like(change)
    overlay = np.maximum(shown * _smoothstep(m * RAMP), m)
    return Image.fromarray(np.rint(overlay * 255).astype(np.uint8))


def _change(original: Image.Image, result: Image.Image) -> NDArray[np.float64]:
    """(H, W) mean difference of the colours, smoothed, 0 to 1."""
    one, other = (np.asarray(image.convert("RGB"), dtype=np.float64) for image in (original, result))
    difference = np.abs(one - other).mean(axis=-1)
    smooth = Image.fromarray(difference.astype(np.uint8)).filter(ImageFilter.GaussianBlur(SMOOTHING))
    return np.asarray(smooth, dtype=np.float64) / 255


def _smoothstep(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
