import io

import numpy as np
import pytest
from PIL import Image

from modules.core.errors import InvalidOption
from modules.imaging.flatten import colour, flattened, transparent


def half_clear():
    picture = Image.new("RGBA", (4, 2), (255, 0, 0, 255))
    picture.putpixel((0, 0), (0, 0, 0, 0))
    picture.putpixel((1, 0), (0, 0, 255, 128))
    return picture


def test_what_is_transparent_shows_the_background():
    flat = flattened(half_clear(), "#00ff00")
    assert flat.mode == "RGB"
    assert flat.getpixel((0, 0)) == (0, 255, 0)
    assert flat.getpixel((1, 0)) == (0, 127, 128)
    assert flat.getpixel((2, 0)) == (255, 0, 0)


def test_the_background_is_white_unless_told():
    assert flattened(half_clear()).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "1", "YCbCr"])
def test_every_kind_of_picture_becomes_rgb(mode, noise):
    flat = flattened(noise(6, 5).convert(mode))
    assert (flat.mode, flat.size) == ("RGB", (6, 5))


def test_opaque_pixels_are_not_touched(noise):
    picture = noise(9, 9)
    assert flattened(picture).tobytes() == picture.tobytes()
    assert flattened(picture.convert("RGBA")).tobytes() == picture.tobytes()


def test_a_palette_with_a_transparent_colour():
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    written = io.BytesIO()
    picture.save(written, "PNG", transparency=1)
    flat = flattened(Image.open(written), "#808080")
    assert [flat.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (128, 128, 128)]


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_deep_greys_are_not_clipped_to_white(dtype):
    picture = Image.fromarray(np.array([[0, 32768, 65535]], dtype=dtype))
    assert [flattened(picture).getpixel((x, 0))[0] for x in range(3)] == [0, 128, 255]


def test_float_greys():
    picture = Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32))
    assert [flattened(picture).getpixel((x, 0))[0] for x in range(3)] == [0, 128, 255]


def test_a_camera_that_was_held_upright(noise):
    picture = noise(6, 4)
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees clockwise to view"
    written = io.BytesIO()
    picture.save(written, "PNG", exif=exif)
    flat = flattened(Image.open(written))
    assert flat.size == (4, 6)
    assert flat.getpixel((3, 0)) == picture.getpixel((0, 0))


@pytest.mark.parametrize("text", ["", "no colour", "#12", "rgb(", "x" * 5000])
def test_what_is_no_colour(text):
    with pytest.raises(InvalidOption, match="#ffffff"):
        colour(text)


def test_opaque_alpha_is_not_transparent(noise):
    assert not transparent(noise(3, 3).convert("RGBA"))
    assert transparent(half_clear())
