import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modules.imaging.outpaint import Sides, extended, extended_mask

EACH = {
    "left": Sides(left=40),
    "up": Sides(up=40),
    "right": Sides(right=40),
    "down": Sides(down=40),
    "all": Sides(left=40, up=24, right=16, down=32),
    "far": Sides(left=200, down=150),
}


def photo():
    """Something with structure: a soft red and blue pattern."""
    rough = np.random.default_rng(1).uniform(0, 1, (5, 7, 3)) * [1, 0.2, 0.8]
    return Image.fromarray((rough * 255).astype(np.uint8)).resize((64, 48), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("sides", EACH.values(), ids=EACH)
def test_the_old_picture_is_where_it_belongs_and_unchanged(sides):
    picture = photo()
    sheet = extended(picture, sides)
    assert sheet.size == (64 + sides.left + sides.right, 48 + sides.up + sides.down) == sides.size(picture.size)
    inner = sheet.crop((sides.left, sides.up, sides.left + 64, sides.up + 48))
    assert inner.tobytes() == picture.tobytes()


@pytest.mark.parametrize("sides", EACH.values(), ids=EACH)
def test_the_new_ground_looks_like_the_picture(sides):
    picture = photo()
    sheet = np.asarray(extended(picture, sides)).astype(float)
    new = np.asarray(extended_mask(None, picture.size, sides, 0)) == 255
    old = np.asarray(picture).reshape(-1, 3)
    assert np.abs(sheet[new].mean(axis=0) - old.mean(axis=0)).max() < 40
    assert sheet[new].std(axis=0).max() > 0.3 * old.std(axis=0).max()  # it is no flat colour


def test_it_goes_on_smoothly_from_the_edge():
    sheet = np.asarray(extended(photo(), Sides(right=64))).astype(float)
    across = np.abs(np.diff(sheet, axis=1)).mean(axis=(0, 2))
    assert across[63] < 3 * across[:63].mean() + 2


def test_the_noise_has_the_pictures_spectrum():
    fine = Image.fromarray((np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)).convert("RGB")
    outer = np.asarray(extended(fine, Sides(right=256))).astype(float)[:, -100:, 0]
    neighbours = np.corrcoef(outer[:, 1:].ravel(), outer[:, :-1].ravel())[0, 1]
    assert neighbours < -0.5  # a chessboard: every pixel differs from the next
    soft = np.asarray(extended(photo(), Sides(right=256))).astype(float)[:, -100:, 0]
    assert np.corrcoef(soft[:, 1:].ravel(), soft[:, :-1].ravel())[0, 1] > 0.8


def test_the_seed_decides():
    same = [extended(photo(), Sides(up=30), seed).tobytes() for seed in (1, 1, 2)]
    assert same[0] == same[1] != same[2]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.tuples(*[st.integers(0, 50)] * 4), st.integers(0, 12))
def test_any_size_works(width, height, added, overlap):
    sides = Sides(left=added[0], up=added[1], right=added[2], down=added[3])
    picture = Image.new("RGB", (width, height), (9, 99, 199))
    assert extended(picture, sides).size == sides.size((width, height))
    mask = extended_mask(None, (width, height), sides, overlap)
    assert mask.size == sides.size((width, height))
    values = np.asarray(mask)
    kept = np.zeros(values.shape, dtype=bool)
    kept[sides.up : sides.up + height, sides.left : sides.left + width] = True
    assert (values[~kept] == 255).all()


def test_the_mask_overlaps_only_where_something_is_added():
    mask = np.asarray(extended_mask(None, (50, 40), Sides(left=10), 8))
    assert (mask[:, :18] == 255).all()
    assert not mask[:, 18:].any()


def test_an_old_mask_stays(rectangle):
    old = rectangle((50, 40), (30, 10, 40, 20))
    mask = np.asarray(extended_mask(old, (50, 40), Sides(up=10, left=10), 4))
    assert (mask[20:30, 40:50] == 255).all()
    assert not mask[30:, 14:].any()


def test_no_side_is_false():
    assert not Sides()
    assert Sides(down=1)
