"""How alike two pictures of one size are: share of equal pixels, peak signal-to-noise ratio, and the difference to look at.

PSNR = 10 log10(255² / mean squared error) over all channels, in dB; a difference of one step everywhere is 48.1 dB.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

MOST_AMPLIFIED = 32
ROWS = 256


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """`equal`: share of pixels that are the same in all channels. `psnr`: in dB, None when all are. `largest`: of 255."""

    equal: float
    psnr: float | None
    largest: int


def likeness(one: Image.Image, other: Image.Image) -> Likeness:
    """Compare two pictures of one size, without their transparency. Raises ValueError for different sizes."""
    pixels = one.width * one.height
    same, squares, largest = 0, 0, 0
    for _, difference in _differences(one, other):
        largest = max(largest, int(difference.max()))
        same += int(np.count_nonzero(difference.max(axis=2) == 0))
        squares += int(np.square(difference, dtype=np.int64).sum())
    if not squares:
        return Likeness(equal=1.0, psnr=None, largest=0)
    return Likeness(equal=same / pixels, psnr=10 * math.log10(255**2 * 3 * pixels / squares), largest=largest)


def difference_picture(one: Image.Image, other: Image.Image) -> Image.Image:
    """The absolute difference, multiplied so that one can see it."""
    factor = amplification(likeness(one, other).largest)
    picture = Image.new("RGB", one.size)
    for top, difference in _differences(one, other):
        picture.paste(Image.fromarray((difference * factor).astype(np.uint8)), (0, top))
    return picture


def amplification(largest: int) -> int:
    """By how much a difference is multiplied so that one can see it.

    >>> amplification(1), amplification(20), amplification(200)
    (32, 12, 1)
    """
    return max(1, min(MOST_AMPLIFIED, 255 // max(1, largest)))


def _differences(one: Image.Image, other: Image.Image) -> "Iterator[tuple[int, np.ndarray[Any, np.dtype[np.int16]]]]":
    """(top, (rows, w, 3) of 0 to 255), some rows at a time: the whole of a large picture would take gigabytes."""
    if one.size != other.size:
        raise ValueError(f"the pictures have different sizes: {one.size} and {other.size}")
    for top in range(0, one.height, ROWS):
        band = (0, top, one.width, min(one.height, top + ROWS))
        first, second = (np.asarray(part.crop(band).convert("RGB"), dtype=np.int16) for part in (one, other))
        yield top, np.abs(first - second)
