import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def noise():
    """A picture in which every pixel is different: `noise(width, height)`, the same each time."""

    def make(width, height, seed=0):
        return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))

    return make


@pytest.fixture
def rectangle():
    """A mask, white inside a box: `rectangle(size, box)`."""

    def make(size, box):
        mask = Image.new("L", size)
        mask.paste(255, box)
        return mask

    return make
