"""Files of pictures for the tests of what is trained on: of any shape, mode and format."""

import io

import numpy as np
from PIL import Image


def noise(width, height, seed=0):
    """A smooth coloured picture in which every place is different."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def file_of(picture, format="PNG", **known):
    written = io.BytesIO()
    picture.save(written, format, **known)
    return written.getvalue()


def numbered(count, size=(64, 64)):
    """Files of one colour each, which tells them apart: the red of the n-th is 10 n."""
    return [file_of(Image.new("RGB", size, (10 * n, 100, 50))) for n in range(count)]
