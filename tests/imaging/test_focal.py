"""Where a picture's subject probably is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from modules.imaging.focal import focal_box, focal_point, interest


def subject_at(x, y, size=(400, 300), ground=(120, 150, 120)):
    """A spotted disc on a plain ground."""
    picture = Image.new("RGB", size, ground)
    pen = ImageDraw.Draw(picture)
    pen.ellipse((x - 40, y - 40, x + 40, y + 40), (200, 60, 60))
    for dx in range(-24, 25, 16):
        pen.ellipse((x + dx - 4, y - 4, x + dx + 4, y + 4), (255, 255, 255))
    return picture


@pytest.mark.parametrize(("x", "y"), [(60, 150), (340, 150), (200, 150), (120, 60), (300, 240)])
def test_the_box_holds_the_subject(x, y):
    left, top, right, bottom = focal_box(subject_at(x, y))
    assert left <= (x - 30) / 400
    assert (x + 30) / 400 <= right
    assert (top, bottom) == (0.0, 1.0)
    assert (right - left) * 400 == pytest.approx((bottom - top) * 300, abs=1)


def test_a_tall_picture_and_a_wide_cut():
    left, top, right, bottom = focal_box(subject_at(150, 330, (300, 400)), 1.5)
    assert (left, right) == (0.0, 1.0)
    assert bottom > 0.9
    assert (bottom - top) * 400 == pytest.approx(200, abs=1)


def test_nothing_to_see_is_the_middle():
    assert focal_point(Image.new("RGB", (400, 300), "green"), (300, 300)) == (0.5, 0.5)
    assert focal_box(Image.new("RGB", (400, 300))) == (0.125, 0.0, 0.875, 1.0)


def test_a_square_picture_is_kept():
    assert focal_box(subject_at(60, 60, (300, 300))) == (0.0, 0.0, 1.0, 1.0)


def test_interest_is_where_the_edges_are():
    grey = np.zeros((60, 60))
    grey[10:20, 40:50] = np.indices((10, 10)).sum(axis=0) % 2
    found = interest(grey)
    assert found.sum() == pytest.approx(1)
    assert found[8:22, 38:52].sum() > 3 * found[38:52, 8:22].sum()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.floats(0.1, 10))
def test_any_shape_gives_a_box_inside(width, height, shape):
    left, top, right, bottom = focal_box(Image.new("L", (width, height), 40), shape)
    assert 0 <= left < right <= 1
    assert 0 <= top < bottom <= 1
    assert focal_box(Image.new("L", (width, height), 40), shape) == (left, top, right, bottom)
