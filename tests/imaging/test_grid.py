import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modules.imaging.grid import grid


def pictures(count, size=(10, 6)):
    return [Image.new("RGB", size, (n + 1, 0, 0)) for n in range(count)]


@pytest.mark.parametrize(
    ("count", "shape"),
    [(1, (1, 1)), (2, (2, 1)), (3, (2, 2)), (4, (2, 2)), (5, (3, 2)), (6, (3, 2)), (9, (3, 3)), (10, (4, 3))],
)
def test_about_as_many_rows_as_columns(count, shape):
    assert grid(pictures(count)).size == (shape[0] * 10, shape[1] * 6)


@pytest.mark.parametrize(("columns", "size"), [(1, (10, 30)), (3, (30, 12)), (99, (50, 6))])
def test_columns_can_be_chosen(columns, size):
    assert grid(pictures(5), columns).size == size


@given(st.integers(1, 30), st.integers(1, 8) | st.none())
def test_every_picture_is_there_in_order(count, columns):
    sheet = grid(pictures(count), columns)
    reds = [sheet.getpixel((x, y))[0] for y in range(0, sheet.height, 6) for x in range(0, sheet.width, 10)]
    assert reds == [*range(1, count + 1), *[0] * (len(reds) - count)]


def test_pictures_of_different_sizes_get_equal_cells():
    sheet = grid([*pictures(1, (4, 4)), *pictures(1, (10, 20))])
    assert sheet.size == (20, 20)
    assert sheet.getpixel((5, 5)) == (0, 0, 0)


def test_no_pictures_make_no_grid():
    with pytest.raises(ValueError, match="at least one"):
        grid([])
