"""What is worth knowing of a picture before somebody trains on it: size, sharpness, how it was turned, its like among others.

Sharpness is the variance of the Laplacian (Pech-Pacheco et al. 2000), against the picture's own contrast. Pictures are
alike when the signs of their lowest frequencies (perceptual hash by DCT) and their colours nearly agree.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from modules.imaging.flatten import flattened, transparent
from modules.imaging.focal import thumbnail
from modules.imaging.metadata import FORMATS, open_picture

SCALES = (128, 256, 512)  # shorter sides at which sharpness is looked at
BLURRED = 0.012  # of sharpness: below, hardly any detail; photographs have 0.04 and more, a drawing 0.1 and more
ROUNDING = 2.0  # variance of the Laplacian of a smooth picture of whole numbers: (4² + 4) / 12 and a little
HASHED, FREQUENCIES, COLOURS = 32, 8, 6  # sides in pixels
SAME_BITS, SAME_COLOURS = 6, 10.0  # of 64; of 255

Plane = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Looked:
    """What was seen of a picture. `width`, `height`: upright. `turned`: it lies on its side in the file.

    `sharpness`: by shorter side in pixels. `bits`: its perceptual hash; `colours`: (6, 6, 3). `small`: grey, 96 pixels.
    """

    width: int
    height: int
    turned: bool
    transparent: bool
    bits: int
    sharpness: Mapping[int, float] = field(repr=False)
    colours: Plane = field(repr=False)
    small: Image.Image = field(repr=False)

    def blurred(self, resolution: int) -> bool:
        """Whether it has hardly any detail where it is trained at this resolution."""
        scale = max((one for one in SCALES if one <= resolution), default=SCALES[0])
        return self.sharpness[scale] < BLURRED

    def like(self, other: "Looked") -> bool:
        """Whether it is nearly the same picture: another size, another compression, a little lighter."""
        near = (self.bits ^ other.bits).bit_count() <= SAME_BITS
        return near and float(np.abs(self.colours - other.colours).mean()) <= SAME_COLOURS


def look(content: bytes) -> Looked:
    """Look at a picture file. Raises InvalidImage."""
    picture = open_picture(content)
    header = Image.open(io.BytesIO(content), formats=FORMATS)  # the opened one is upright, and does not say so
    turned = header.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1)
    has_holes = transparent(picture)
    plain = flattened(picture)
    smaller = plain.resize(_at_most(plain, SCALES[-1]), Image.Resampling.BOX)  # once, not for each question
    return Looked(
        width=plain.width,
        height=plain.height,
        turned=turned,
        transparent=has_holes,
        bits=perceptual_hash(smaller),
        sharpness={scale: sharpness(smaller, scale) for scale in SCALES},
        colours=np.asarray(smaller.resize((COLOURS, COLOURS), Image.Resampling.BOX), dtype=np.float64),
        small=thumbnail(plain),
    )


def duplicates(pictures: Sequence[Looked | None]) -> dict[int, int]:
    """For each picture that is nearly the same as an earlier one, which: {later: first}. None is like nothing."""
    found: dict[int, int] = {}
    for later, one in enumerate(pictures):
        for first in range(later):
            other = pictures[first]
            if one is not None and other is not None and first not in found and one.like(other):
                found[later] = first
                break
    return found


def sharpness(picture: Image.Image, side: int) -> float:
    """Variance of the Laplacian over the variance of the greys, at this shorter side (never enlarged)."""
    grey = np.asarray(picture.convert("L").resize(_at_most(picture, side), Image.Resampling.BOX), dtype=np.float64)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return max(0.0, float(laplacian.var()) - ROUNDING) / (float(grey.var()) + 1.0)


def _at_most(picture: Image.Image, side: int) -> tuple[int, int]:
    """The picture's size brought down to this shorter side, never up."""
    scale = min(1.0, side / min(picture.size))
    return max(3, round(picture.width * scale)), max(3, round(picture.height * scale))


def perceptual_hash(picture: Image.Image) -> int:
    """64 bits: which of the 8x8 lowest frequencies (DCT-II of 32x32 greys) are above their median."""
    grey = np.asarray(picture.convert("L").resize((HASHED, HASHED), Image.Resampling.BOX), dtype=np.float64)
    places = np.arange(HASHED)
    basis = np.cos(np.pi / HASHED * np.outer(np.arange(FREQUENCIES), places + 0.5))
    low = (basis @ grey @ basis.T).ravel()
    above = low[1:] > np.median(low[1:])  # the first is the mean: lighter is not another picture
    return int("".join("01"[int(bit)] for bit in above), 2)
