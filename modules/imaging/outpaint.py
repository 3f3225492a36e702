"""Make a picture larger on any side, and fill the new ground with what a denoiser can go on from.

Next to the edge the picture is mirrored, further out it becomes noise with the picture's own spectrum: the random phase
noise of Galerne, Gousseau, Morel 2011, "Random Phase Textures: Theory and Synthesis".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

LARGEST_SAMPLE = 512  # pixels of each side from which the spectrum is taken


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
    noise = _random_phase_noise(old, mirrored.shape[:2], np.random.default_rng(abs(seed)))
    far = _distance(sides, image.size, mirrored.shape[:2])[..., None]
    sheet = mirrored * (1 - far) + noise * far
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


def _random_phase_noise(old: Floats, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """(H, W, 3) noise with mean, colours and spectrum of the picture: its Fourier phases, turned at random.

    All channels turn by the same angle, which keeps the colours of the picture together. What is smaller than the sheet
    is repeated; the window takes away the cross that the picture's borders would leave in its spectrum.
    """
    sample = old[:LARGEST_SAMPLE, :LARGEST_SAMPLE]
    mean = sample.mean(axis=(0, 1))
    window = np.hanning(sample.shape[0] + 2)[1:-1, None] * np.hanning(sample.shape[1] + 2)[None, 1:-1]
    strength = np.sqrt((window**2).mean())
    spectrum = np.fft.rfft2((sample - mean) * window[..., None] / strength, axes=(0, 1))
    phases = np.angle(np.fft.rfft2(rng.standard_normal(sample.shape[:2])))
    tile = np.fft.irfft2(spectrum * np.exp(1j * phases)[..., None], s=sample.shape[:2], axes=(0, 1)) + mean
    repeats = (-(-shape[0] // tile.shape[0]), -(-shape[1] // tile.shape[1]), 1)
    return np.tile(tile, repeats)[: shape[0], : shape[1]]
