"""Where a picture is painted anew: masks in mode L, white where painted; reading, blurring, finding, filling."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter, ImageOps

from modules.imaging.flatten import eight_bit, transparent

FILL_RADII = (256, 64, 16, 16, 4, 4, 4, 4, 2, 2, 0)
ROWS_AT_ONCE = 1 << 22  # pixels that are blurred at a time, to bound memory


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle of a picture; `right` and `bottom` are the first that do not belong to it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """As Pillow takes it."""
        return self.left, self.top, self.right, self.bottom

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top


def read(mask: Image.Image, *, sharp: bool = True) -> Image.Image:
    """A mask from a picture: its transparency where it has any, else its brightness. `sharp`: alpha is all or nothing."""
    mask = eight_bit(mask)
    if not transparent(mask):
        return mask.convert("L")
    alpha = mask.convert("RGBA").getchannel("A")
    return alpha.point([255 if value > 128 else 0 for value in range(256)]) if sharp else alpha


def blurred(mask: Image.Image, sigma_x: int, sigma_y: int) -> Image.Image:
    """Gaussian blur, first along rows, then along columns; beyond the edge the picture is mirrored."""
    values = np.asarray(mask, dtype=np.uint8)
    if sigma_x > 0:
        values = _blurred_rows(values, sigma_x)
    if sigma_y > 0:
        values = _blurred_rows(values.T, sigma_y).T
    return Image.fromarray(np.ascontiguousarray(values))


def blur_reach(sigma: int) -> int:
    """How many pixels far a blur of this strength reaches.

    >>> [blur_reach(sigma) for sigma in (0, 1, 4, 64)]
    [0, 3, 10, 160]
    """
    return int(2.5 * sigma + 0.5)


def region_of(mask: Image.Image, padding: int) -> Region | None:
    """The smallest rectangle around everything masked, and `padding` pixels more; None for a blank mask."""
    box = mask.getbbox()
    if box is None:
        return None
    return Region(
        left=max(0, box[0] - padding),
        top=max(0, box[1] - padding),
        right=min(mask.width, box[2] + padding),
        bottom=min(mask.height, box[3] + padding),
    )


def widened(region: Region, shape: tuple[int, int], bounds: tuple[int, int]) -> Region:
    """The region grown about its middle to the proportions of `shape`, moved and cut to stay within `bounds`."""
    width, height = region.size
    if width * shape[1] > height * shape[0]:
        top, bottom = _grown(region.top, region.bottom, width * shape[1] / shape[0], bounds[1])
        return Region(left=region.left, top=top, right=region.right, bottom=bottom)
    left, right = _grown(region.left, region.right, height * shape[0] / shape[1], bounds[0])
    return Region(left=left, top=region.top, right=right, bottom=region.bottom)


def filled(image: Image.Image, mask: Image.Image) -> Image.Image:
    """The picture with its masked place covered by what lies around it, blurred the more the further away."""
    premultiplied = _premultiplied(image, mask)
    sheet = Image.new("RGBA", image.size)
    for radius in FILL_RADII:
        sheet.alpha_composite(premultiplied.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA"))
    return sheet.convert("RGB")


def _premultiplied(image: Image.Image, mask: Image.Image) -> Image.Image:
    """What is not masked, as colours times opacity: only so does a blur not mix in what is hidden."""
    layer = image.convert("RGBA")
    layer.putalpha(ImageOps.invert(mask))
    return layer.convert("RGBa")


def doubled(mask: Image.Image) -> Image.Image:
    """Twice as strong: a blurred edge covers up to its middle in full."""
    return ImageChops.add(mask, mask)


def latent_values(mask: Image.Image, height: int, width: int, *, rounded: bool) -> NDArray[np.float32]:
    """The mask at the size of latents: (h, w) from 0 to 1, where 1 is painted anew; whole numbers when `rounded`."""
    small = mask.convert("RGB").resize((width, height))  # Pillow's own choice, bicubic
    values = np.asarray(small, dtype=np.float32)[:, :, 0] / 255
    return np.around(values) if rounded else values


def _grown(first: int, last: int, wanted: float, bound: int) -> tuple[int, int]:
    """An interval made `wanted` long about its middle, inside 0 to bound."""
    more = int(wanted - (last - first))
    first -= more // 2
    last += more - more // 2
    if last > bound:
        first, last = first - (last - bound), bound
    if first < 0:
        first, last = 0, min(last - first, bound)
    return first, last


def _blurred_rows(values: NDArray[np.uint8], sigma: int) -> NDArray[np.uint8]:
    """Each row convolved with a Gaussian by FFT: as fast for a wide kernel as for a narrow one."""
    reach = blur_reach(sigma)
    width = values.shape[1]
    length = width + 2 * reach
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    spectrum = np.fft.rfft(np.roll(np.pad(kernel / kernel.sum(), (0, length - kernel.size)), -reach), length)
    step = max(1, ROWS_AT_ONCE // length)
    blocks = [values[first : first + step] for first in range(0, values.shape[0], step)]
    return np.concatenate([_convolved(block, spectrum, reach)[:, reach : reach + width] for block in blocks])


def _convolved(rows: NDArray[np.uint8], spectrum: NDArray[np.complex128], reach: int) -> NDArray[np.uint8]:
    padded = np.pad(rows.astype(np.float64), ((0, 0), (reach, reach)), mode="reflect" if rows.shape[1] > 1 else "edge")
    blurred_rows = np.fft.irfft(np.fft.rfft(padded) * spectrum, padded.shape[1])
    return np.rint(np.clip(blurred_rows, 0, 255)).astype(np.uint8)
