import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modules.core.requests import RESIZE_MODES
from modules.imaging.resize import CROP, FILL, LATENT, STRETCH, multiples, resized

sides = st.integers(1, 70)


@settings(max_examples=200, deadline=None)
@given(sides, sides, sides, sides, st.sampled_from(RESIZE_MODES), st.sampled_from(["RGB", "L"]))
def test_the_size_is_always_the_one_asked_for(width, height, wanted_width, wanted_height, mode, kind):
    picture = Image.new(kind, (width, height), "white")
    result = resized(picture, wanted_width, wanted_height, mode)
    assert (result.size, result.mode) == ((wanted_width, wanted_height), kind)
    assert result.getextrema() in ((255, 255), ((255, 255),) * 3)  # no black bar anywhere


@pytest.mark.parametrize("mode", RESIZE_MODES)
def test_a_picture_of_that_size_is_left_alone(mode, noise):
    picture = noise(20, 10)
    assert resized(picture, 20, 10, mode).tobytes() == picture.tobytes()


def stripes():
    """Red, green and blue columns, 30 wide."""
    sheet = Image.new("RGB", (90, 30), (0, 255, 0))
    sheet.paste((255, 0, 0), (0, 0, 30, 30))
    sheet.paste((0, 0, 255), (60, 0, 90, 30))
    return sheet


def test_just_resize_squeezes():
    squeezed = resized(stripes(), 30, 30, STRETCH)
    assert [squeezed.getpixel((x, 15)) for x in (2, 15, 27)] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert resized(stripes(), 30, 30, LATENT).tobytes() == squeezed.tobytes()


def test_crop_and_resize_keeps_the_middle():
    assert set(resized(stripes(), 30, 30, CROP).crop((3, 0, 27, 30)).get_flattened_data()) == {(0, 255, 0)}
    tall = resized(stripes().transpose(Image.Transpose.ROTATE_90), 30, 30, CROP)
    assert tall.getpixel((15, 15)) == (0, 255, 0)


@pytest.mark.parametrize("turned", [False, True])
def test_resize_and_fill_draws_the_edges_out(turned, noise):
    picture = noise(16, 16)
    wide = resized(picture, 16, 48, FILL) if turned else resized(picture, 48, 16, FILL)
    values = np.asarray(wide) if not turned else np.asarray(wide).swapaxes(0, 1)
    original = np.asarray(picture) if not turned else np.asarray(picture).swapaxes(0, 1)
    assert np.array_equal(values[:, 16:32], original)
    for column in range(16):
        assert np.array_equal(values[:, column], original[:, 0])
        assert np.array_equal(values[:, 32 + column], original[:, -1])


def test_what_was_filled_is_cut_off_again_in_the_same_place(noise):
    """Pasting back undoes enlarging: shape and place agree, whatever is left of the pixels."""
    picture = noise(40, 20).resize((80, 40))
    there = resized(picture, 128, 128, FILL)
    back = resized(there, 80, 40, CROP)
    assert np.abs(np.asarray(back, dtype=float) - np.asarray(picture)).mean() < 12


@pytest.mark.parametrize(("size", "expected"), [((64, 64), (64, 64)), ((71, 8), (64, 8)), ((1, 1023), (8, 1016))])
def test_whole_multiples(size, expected):
    assert multiples(size) == expected
