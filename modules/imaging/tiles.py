"""Large pictures piece by piece: tiles that overlap, blended where they meet, so that memory stays bounded."""

from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Enlarge = Callable[[NDArray[np.uint8]], Floats]  # (h, w, 3) bytes -> (h · scale, w · scale, 3), 0 to 255
OnTile = Callable[[int, int], None]  # tiles done, tiles in all


def by_tiles(
    image: NDArray[np.uint8], enlarge: Enlarge, scale: int, tile: int, overlap: int, on_tile: OnTile | None = None
) -> NDArray[np.uint8]:
    """(h, w, 3) -> (h · scale, w · scale, 3).

    tile: side of a tile in pixels of `image`, 0 for all at once; overlap: pixels that neighbours share. A quarter of
    the overlap at each tile's edge is thrown away, since a network sees there what is not there; in between the tiles
    are blended. `on_tile` is called after each tile and may raise.
    """
    height, width = image.shape[:2]
    rows, columns = starts(height, tile, overlap), starts(width, tile, overlap)
    tall, wide = min(tile or height, height), min(tile or width, width)
    sheet = np.empty((height * scale, width * scale, 3), dtype=np.uint8)
    strip = np.empty((tall * scale, width * scale, 3), dtype=np.float32)
    filled_rows = filled_columns = 0
    for done, (top, left) in enumerate(product(rows, columns), 1):
        if left == 0:
            filled_columns = 0
        piece = enlarge(image[top : top + tall, left : left + wide])
        filled_columns = _lay(strip.swapaxes(0, 1), piece.swapaxes(0, 1), left * scale, filled_columns)
        if left == columns[-1]:
            filled_rows = _lay(sheet, strip, top * scale, filled_rows)
        if on_tile is not None:
            on_tile(done, len(rows) * len(columns))
    return sheet


def count(size: tuple[int, int], tile: int, overlap: int) -> int:
    """How many tiles a picture of (width, height) takes."""
    return len(starts(size[0], tile, overlap)) * len(starts(size[1], tile, overlap))


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin, evenly spread, sharing at least `overlap`.

    >>> starts(100, 40, 10), starts(30, 40, 10), starts(100, 0, 10)
    ([0, 30, 60], [0], [0])
    """
    if not tile or length <= tile:
        return [0]
    step = max(1, tile - overlap)
    pieces = 1 + -(-(length - tile) // step)
    return [round(n * (length - tile) / (pieces - 1)) for n in range(pieces)]


def _lay(sheet: NDArray, piece: Floats, start: int, filled: int) -> int:
    """Put a piece on the sheet from row `start` on, blending it over the rows that are filled. Answers how far it is now."""
    shared = filled - start
    end = start + len(piece)
    if shared > 0:
        place = (np.arange(shared, dtype=np.float32) + 0.5) / shared
        weight = np.clip(2 * place - 0.5, 0, 1)[:, None, None]
        blended = sheet[start:filled] * (1 - weight) + piece[:shared] * weight
        sheet[start:filled] = _as(sheet, blended)
    sheet[max(start, filled) : end] = _as(sheet, piece[max(0, shared) :])
    return end


def _as(sheet: NDArray, values: Floats) -> NDArray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8) if sheet.dtype == np.uint8 else values
