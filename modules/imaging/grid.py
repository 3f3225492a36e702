"""Several pictures as one sheet."""

import math
from collections.abc import Sequence

from PIL import Image


def grid(images: Sequence[Image.Image], columns: int | None = None) -> Image.Image:
    """Pictures side by side, row by row, each in a cell as large as the largest; about as many rows as columns.

    Raises ValueError when there are none.
    """
    if not images:
        raise ValueError("a grid needs at least one picture")
    columns = min(len(images), columns or math.ceil(len(images) / round(math.sqrt(len(images)))))
    width, height = max(image.width for image in images), max(image.height for image in images)
    sheet = Image.new("RGB", (columns * width, math.ceil(len(images) / columns) * height))
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        sheet.paste(image, (column * width, row * height))
    return sheet
