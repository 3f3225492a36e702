"""Sizes for pictures that are not square."""

import math

import pytest

from modules.training.buckets import nearest, sizes, step_of


@pytest.mark.parametrize("side", [64, 128, 512, 768, 1024])
def test_sizes_have_about_as_many_pixels(side):
    found = sizes(side, 8)
    step = step_of(side, 8)
    assert (side, side) in found
    assert len(found) > 5
    for width, height in found:
        assert width % step == height % step == 0
        assert 0.7 * side * side < width * height <= side * side
        assert side / 2 <= min(width, height)
        assert max(width, height) <= 2 * side
        assert (height, width) in found


def test_the_shape_decides():
    among = sizes(512, 8)
    assert nearest(1000, 1000, among) == (512, 512)
    assert nearest(3000, 2000, among) == (640, 384)
    assert nearest(100, 900, among) == (256, 1024)
    for width, height in ((400, 300), (1920, 1080), (333, 777)):
        chosen = nearest(width, height, among)
        off = abs(math.log(chosen[0] / chosen[1] * height / width))
        assert all(off <= abs(math.log(w / h * height / width)) + 1e-9 for w, h in among)
        assert nearest(height, width, among) == chosen[::-1]
