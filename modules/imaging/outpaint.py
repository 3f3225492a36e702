"""Make a picture larger on any side, and fill the new ground with what a denoiser can go on from.

Next to the edge the picture is mirrored. Further out the mirrored picture is blurred, so that sky stays above and sand
below, and its detail becomes noise with the picture's own spectrum: the random phase noise of Galerne, Gousseau, Morel
2011, "Random Phase Textures: Theory and Synthesis".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Floats = NDArray[np.float64]

LARGEST_SAMPLE = 512  # pixels of each side from which the spectrum is taken
COARSE = 12  # what is smaller than this part of the picture is detail
STRENGTH = 0.5  # of the noise, by the picture's own detail


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Pixels added on each side."""

    left: int = 0
    up: int = 0
    right: int = 0
    down: int = 0

    def __bool__(self) -> bool:
        return any((self.left, self.up, self.right, self.down))

    def size(self, inner: tuple[int, int]) -> tuple[int, int]:
        """Of the larger picture."""
        return self.left + inner[0] + self.right, self.up + inner[1] + self.down


def extended(image: Image.Image, sides: Sides, seed: int = 0) -> Image.Image:
    """The RGB picture on a larger sheet; the same seed gives the same sheet. The old pixels are left as they are."""
    old = np.asarray(image, dtype=np.float64)
    pad = ((sides.up, sides.down), (sides.left, sides.right), (0, 0))
    mirrored = np.pad(old, pad, mode="symmetric")
    radius = max(2.0, min(image.size) / COARSE)
    noise = _random_phase_noise(old, mirrored.shape[:2], radius, np.random.default_rng(abs(seed)))
    ground = _blurred(mirrored, radius) + STRENGTH * noise
    far = _distance(sides, image.size, mirrored.shape[:2])[..., None]
    sheet = mirrored * (1 - far) + ground * far
    sheet[sides.up : sides.up + image.height, sides.left : sides.left + image.width] = old
    return Image.fromarray(np.rint(np.clip(sheet, 0, 255)).astype(np.uint8))


def extended_mask(mask: Image.Image | None, inner: tuple[int, int], sides: Sides, overlap: int) -> Image.Image:
    """White on the new ground and `overlap` pixels into the old picture, so that both grow together; else the old mask."""
    width, height = sides.size(inner)
    sheet = Image.new("L", (width, height), 255)
    kept = (
        sides.left + (overlap if sides.left else 0),
        sides.up + (overlap if sides.up else 0),
        width - sides.right - (overlap if sides.right else 0),
        height - sides.down - (overlap if sides.down else 0),
    )
    if kept[0] >= kept[2] or kept[1] >= kept[3]:
        return sheet
    old = Image.new("L", inner) if mask is None else mask
    sheet.paste(
        old.crop((kept[0] - sides.left, kept[1] - sides.up, kept[2] - sides.left, kept[3] - sides.up)), kept[:2]
    )
    return sheet


def _blurred(values: Floats, radius: float) -> Floats:
    blurred = Image.fromarray(np.rint(np.clip(values, 0, 255)).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(radius)
    )
    return np.asarray(blurred, dtype=np.float64)


def _distance(sides: Sides, inner: tuple[int, int], shape: tuple[int, int]) -> Floats:
    """(H, W) from 0 at the old picture's edge to 1 at the new one's outermost pixel."""
    across = _ramp(sides.left, inner[0], sides.right, shape[1])
    down = _ramp(sides.up, inner[1], sides.down, shape[0])
    return np.maximum(across[None, :], down[:, None])


def _ramp(before: int, inner: int, after: int, length: int) -> Floats:
    place = np.arange(length)
    first = (before - place) / before if before else np.zeros(length)
    last = (place - before - inner + 1) / after if after else np.zeros(length)
    return np.clip(np.maximum(first, last), 0, 1)


def _random_phase_noise(old: Floats, shape: tuple[int, int], radius: float, rng: np.random.Generator) -> Floats:
    """(H, W, 3) noise about 0 with the spectrum of the picture's detail: its Fourier phases, turned at random.

    All channels turn by the same angle, which keeps the colours of the picture together. Detail is what a Gaussian blur
    of `radius` takes away. What is smaller than the sheet is repeated; the window takes away the cross that the
    picture's borders would leave in its spectrum.
    """
    sample = old[:LARGEST_SAMPLE, :LARGEST_SAMPLE]
    height, width = sample.shape[:2]
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[None, 1:-1]
    strength = np.sqrt((window**2).mean())
    spectrum = np.fft.rfft2((sample - sample.mean(axis=(0, 1))) * window[..., None] / strength, axes=(0, 1))
    squared = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width)[None, :] ** 2
    detail = 1 - np.exp(-2 * (np.pi * radius) ** 2 * squared)
    phases = np.angle(np.fft.rfft2(rng.standard_normal((height, width))))
    turned = spectrum * (detail * np.exp(1j * phases))[..., None]
    tile = np.fft.irfft2(turned, s=(height, width), axes=(0, 1))
    repeats = (-(-shape[0] // height), -(-shape[1] // width), 1)
    return np.tile(tile, repeats)[: shape[0], : shape[1]]
