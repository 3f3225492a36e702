import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modules.imaging import mask as masks
from modules.imaging.mask import Region


def slowly_blurred(values, sigma):
    """The same blur of rows, written down as its definition says: an oracle."""
    reach = masks.blur_reach(sigma)
    weights = [np.exp(-(offset**2) / (2 * sigma**2)) for offset in range(-reach, reach + 1)]
    padded = np.pad(values.astype(float), ((0, 0), (reach, reach)), mode="reflect")
    total = sum(weight * padded[:, offset : offset + values.shape[1]] for offset, weight in enumerate(weights))
    return np.rint(total / sum(weights)).astype(np.uint8)


# Reading ------------------------------------------------------------------------------------------------------------


def test_brightness_counts_where_nothing_is_transparent(noise):
    picture = noise(8, 8)
    assert masks.read(picture).tobytes() == picture.convert("L").tobytes()
    assert masks.read(picture.convert("RGBA")).tobytes() == picture.convert("L").tobytes()


def test_alpha_counts_where_there_is_any():
    picture = Image.new("RGBA", (4, 1), (255, 255, 255, 0))
    for x, alpha in enumerate((0, 128, 129, 255)):
        picture.putpixel((x, 0), (255, 255, 255, alpha))
    assert list(masks.read(picture).tobytes()) == [0, 0, 255, 255]
    assert list(masks.read(picture, sharp=False).tobytes()) == [0, 128, 129, 255]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_white_is_white_in_every_kind(mode):
    picture = Image.new("L", (3, 3), 255)
    picture = Image.fromarray(np.full((3, 3), 65535, np.uint16)) if mode == "I;16" else picture.convert(mode)
    assert masks.read(picture).getextrema() == (255, 255)


# Blurring -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [1, 2, 4, 8, 13])
@pytest.mark.parametrize("size", [(90, 7), (5, 70), (33, 33)])
def test_the_blur_is_the_one_of_its_definition(sigma, size, noise):
    mask = noise(*size).convert("L")
    rows = slowly_blurred(np.asarray(mask), sigma)
    assert np.abs(np.asarray(masks.blurred(mask, sigma, 0)).astype(int) - rows).max() <= 1
    both = slowly_blurred(rows.T, sigma).T
    assert np.abs(np.asarray(masks.blurred(mask, sigma, sigma)).astype(int) - both).max() <= 1


@pytest.mark.parametrize("sigma", [0, 1, 4, 16, 64])
def test_it_reaches_as_far_as_it_says_and_no_further(sigma, rectangle):
    mask = rectangle((401, 1), (200, 0, 201, 1)).point([0] + [255] * 255)
    wide = rectangle((801, 9), (0, 0, 400, 9))
    values = np.asarray(masks.blurred(wide, sigma, sigma))
    reach = masks.blur_reach(sigma)
    assert (values[:, : 400 - reach] == 255).all()
    assert not values[:, 400 + reach :].any()
    assert masks.blurred(mask, 0, 0).tobytes() == mask.tobytes()


def test_the_two_directions_are_apart(rectangle):
    mask = rectangle((60, 60), (20, 20, 40, 40))
    along = np.asarray(masks.blurred(mask, 4, 0))
    assert along[30, 15] > 0
    assert along[15, 30] == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 20), (20, 1), (2, 3)])
@pytest.mark.parametrize("value", [0, 255])
def test_an_even_mask_stays_as_it_is(size, value):
    mask = Image.new("L", size, value)
    assert masks.blurred(mask, 64, 64).tobytes() == mask.tobytes()


def test_large_masks_are_blurred_in_parts(rectangle, monkeypatch):
    mask = rectangle((50, 40), (10, 10, 30, 25))
    whole = masks.blurred(mask, 5, 5).tobytes()
    monkeypatch.setattr(masks, "ROWS_AT_ONCE", 100)
    assert masks.blurred(mask, 5, 5).tobytes() == whole


# Finding ------------------------------------------------------------------------------------------------------------


def test_the_region_holds_everything_masked(rectangle):
    mask = rectangle((100, 80), (30, 40, 50, 45))
    assert masks.region_of(mask, 0).box == (30, 40, 50, 45)
    assert masks.region_of(mask, 20).box == (10, 20, 70, 65)
    assert masks.region_of(mask, 200).box == (0, 0, 100, 80)
    assert masks.region_of(Image.new("L", (100, 80)), 20) is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_widened_region_holds_the_old_one_and_stays_inside(data):
    width, height = data.draw(st.integers(8, 300)), data.draw(st.integers(8, 300))
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    shape = data.draw(st.integers(8, 256)), data.draw(st.integers(8, 256))
    old = Region(left=left, top=top, right=right, bottom=bottom)
    new = masks.widened(old, shape, (width, height))
    assert 0 <= new.left <= old.left < old.right <= new.right <= width
    assert 0 <= new.top <= old.top < old.bottom <= new.bottom <= height
    inside = new.left > 0 and new.right < width and new.top > 0 and new.bottom < height
    if inside:
        assert abs(new.size[0] * shape[1] - new.size[1] * shape[0]) <= max(shape)


def test_a_region_at_the_border_is_moved_not_cut():
    corner = Region(left=180, top=0, right=200, bottom=60)
    assert masks.widened(corner, (64, 64), (200, 200)).box == (140, 0, 200, 60)


# Filling ------------------------------------------------------------------------------------------------------------


def test_filling_hides_what_was_there_and_keeps_the_rest(rectangle):
    picture = Image.new("RGB", (120, 120), (200, 100, 50))
    picture.paste((0, 255, 0), (40, 40, 80, 80))
    mask = rectangle((120, 120), (40, 40, 80, 80))
    filled = np.asarray(masks.filled(picture, mask)).astype(int)
    assert np.abs(filled[45:75, 45:75] - [200, 100, 50]).max() <= 12  # nothing green is left
    outside = np.asarray(mask) == 0
    assert np.array_equal(filled[outside], np.asarray(picture)[outside])


def test_filling_takes_the_colours_from_nearby(rectangle):
    picture = Image.new("RGB", (200, 60), (255, 0, 0))
    picture.paste((0, 0, 255), (100, 0, 200, 60))
    filled = masks.filled(picture, rectangle((200, 60), (20, 10, 180, 50)))
    assert filled.getpixel((24, 30))[0] > 200 > 60 > filled.getpixel((24, 30))[2]
    assert filled.getpixel((175, 30))[2] > 200 > 60 > filled.getpixel((175, 30))[0]


def test_a_wholly_masked_picture_can_be_filled():
    assert masks.filled(Image.new("RGB", (8, 8), "red"), Image.new("L", (8, 8), 255)).getpixel((4, 4)) == (0, 0, 0)


# Values -------------------------------------------------------------------------------------------------------------


def test_doubling_is_clipped():
    mask = Image.fromarray(np.array([[0, 1, 127, 128, 255]], dtype=np.uint8))
    assert list(masks.doubled(mask).tobytes()) == [0, 2, 254, 255, 255]


def test_latent_values_are_those_of_pillows_own_resize(noise):
    mask = noise(64, 48).convert("L")
    soft = masks.latent_values(mask, 6, 8, rounded=False)
    assert soft.shape == (6, 8)
    expected = np.asarray(mask.resize((8, 6), Image.Resampling.BICUBIC)) / 255
    assert np.abs(soft - expected).max() < 0.01
    assert np.array_equal(masks.latent_values(mask, 6, 8, rounded=True), np.around(soft))
