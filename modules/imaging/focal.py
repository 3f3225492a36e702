"""Where a picture's subject probably is: where edges and variety are, weighed towards the middle. A suggestion only."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 96  # pixels of the longer side that is looked at
BLOCK = 8  # pixels of the squares whose variety is measured
LEVELS = 16  # greys told apart for the entropy
EDGES, VARIETY, MIDDLE = 1.0, 0.5, 0.6  # shares of the three

Plane = NDArray[np.float64]
Box = tuple[float, float, float, float]


def focal_box(picture: Image.Image, shape: float = 1.0) -> Box:
    """(left, top, right, bottom), as parts of the sides, of the largest cut of a shape (width / height) worth keeping."""
    wide = picture.width / picture.height
    width, height = (shape / wide, 1.0) if wide > shape else (1.0, wide / shape)
    x, y = focal_point(picture, (max(1, round(width * picture.width)), max(1, round(height * picture.height))))
    left, top = min(max(0.0, x - width / 2), 1 - width), min(max(0.0, y - height / 2), 1 - height)
    return round(left, 4), round(top, 4), round(left + width, 4), round(top + height, 4)


def thumbnail(picture: Image.Image) -> Image.Image:
    """A small grey copy; what is found in it holds for the picture, wherever it is looked at."""
    grey = picture.convert("L")
    grey.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    return grey


def focal_point(picture: Image.Image, window: tuple[int, int]) -> tuple[float, float]:
    """The middle (x, y), as parts of the sides, of the window of this size in pixels that holds the most interest."""
    grey = _small(picture)
    weight = interest(grey)
    across = _best(weight.sum(axis=0), window[0] / picture.width)
    down = _best(weight.sum(axis=1), window[1] / picture.height)
    return across, down


def interest(grey: Plane) -> Plane:
    """How much there is to see at each place (h, w) of a grey picture of 0 to 1; its sum is 1."""
    smooth = _blurred(grey)
    edges = np.abs(np.gradient(smooth, axis=0)) + np.abs(np.gradient(smooth, axis=1))
    height, width = grey.shape
    rows, columns = np.ogrid[0:height, 0:width]
    distance = ((rows + 0.5) / height - 0.5) ** 2 + ((columns + 0.5) / width - 0.5) ** 2
    middle = np.exp(-distance * 6)
    found = EDGES * _share(edges) + VARIETY * _share(_entropy(grey)) + MIDDLE * _share(middle)
    return found / found.sum()


def _small(picture: Image.Image) -> Plane:
    scale = SIDE / max(picture.size)
    size = max(3, round(picture.width * scale)), max(3, round(picture.height * scale))
    return np.asarray(picture.convert("L").resize(size, Image.Resampling.BOX), dtype=np.float64) / 255


def _share(plane: Plane) -> Plane:
    """The same with sum 1; nothing where there is nothing."""
    total = plane.sum()
    return plane / total if total > 1e-6 else np.zeros_like(plane)


def _blurred(grey: Plane) -> Plane:
    """Means over 3x3: noise is no edge."""
    padded = np.pad(grey, 1, mode="edge")
    height, width = grey.shape
    return np.sum([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0) / 9


def _entropy(grey: Plane) -> Plane:
    """Bits of each block's greys, at each of its pixels."""
    found = np.zeros_like(grey)
    levels = np.minimum((grey * LEVELS).astype(int), LEVELS - 1)
    for top in range(0, grey.shape[0], BLOCK):
        for left in range(0, grey.shape[1], BLOCK):
            counts = np.bincount(levels[top : top + BLOCK, left : left + BLOCK].ravel(), minlength=LEVELS)
            shares = counts[counts > 0] / counts.sum()
            found[top : top + BLOCK, left : left + BLOCK] = -(shares * np.log2(shares)).sum()
    return found


def _best(weights: Plane, length: float) -> float:
    """The middle of the window that holds most of the weight along one side; of equal ones the one nearest the middle."""
    count = len(weights)
    window = min(count, max(1, round(length * count)))
    sums = np.convolve(weights, np.ones(window), mode="valid")
    starts = np.arange(len(sums))
    nearness = 1 - np.abs((starts + window / 2) / count - 0.5) * 1e-3
    return float((starts[np.argmax(sums * nearness)] + window / 2) / count)
