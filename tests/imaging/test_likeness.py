"""How alike two pictures are: against numbers worked out by hand, and against each other."""

import io

import numpy as np
import pytest
from PIL import Image

from modules.imaging import likeness as module
from modules.imaging.likeness import amplification, difference_picture, likeness


def grey(value: int, size=(10, 10)) -> Image.Image:
    return Image.new("RGB", size, (value, value, value))


def noise(seed: int, size=(33, 300)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def test_a_picture_is_like_itself():
    found = likeness(noise(1), noise(1))
    assert (found.equal, found.psnr, found.largest) == (1.0, None, 0)


def test_one_step_everywhere_is_48_decibels():
    found = likeness(grey(100), grey(101))
    assert found.psnr == pytest.approx(48.1308, abs=1e-3)  # 20 log10(255)
    assert (found.equal, found.largest) == (0.0, 1)


def test_one_channel_of_one_pixel():
    other = grey(0)
    other.putpixel((3, 4), (0, 30, 0))
    found = likeness(grey(0), other)
    assert found.equal == 0.99
    assert found.largest == 30
    assert found.psnr == pytest.approx(10 * np.log10(255**2 * 300 / 900))


def test_black_and_white_are_as_unlike_as_can_be():
    found = likeness(grey(0), grey(255))
    assert (found.equal, found.psnr, found.largest) == (0.0, 0.0, 255)


def test_it_does_not_matter_how_many_rows_are_looked_at_together(monkeypatch):
    whole = likeness(noise(1), noise(2))
    picture = difference_picture(noise(1), noise(2))
    monkeypatch.setattr(module, "ROWS", 7)
    assert likeness(noise(1), noise(2)) == whole
    assert difference_picture(noise(1), noise(2)).tobytes() == picture.tobytes()


def test_order_does_not_matter():
    assert likeness(noise(1), noise(2)) == likeness(noise(2), noise(1))


def test_transparency_and_palettes_do_not_count():
    clear = Image.new("RGBA", (4, 4), (9, 9, 9, 0))
    assert likeness(clear, grey(9, (4, 4))).psnr is None
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    assert likeness(palette, grey(9, (4, 4))).psnr is None


def test_jpeg_changes_pixels_a_little():
    smooth = noise(1, (8, 8)).resize((128, 128), Image.Resampling.BICUBIC)
    kept = io.BytesIO()
    smooth.save(kept, "JPEG", quality=80)
    assert 25 < likeness(smooth, Image.open(kept)).psnr < 50


@pytest.mark.parametrize(("largest", "factor"), [(0, 32), (1, 32), (8, 31), (20, 12), (128, 1), (255, 1)])
def test_a_difference_never_becomes_brighter_than_white(largest, factor):
    assert amplification(largest) == factor
    assert largest * amplification(largest) <= 255


def test_the_difference_can_be_seen():
    other = grey(100)
    other.putpixel((0, 9), (102, 100, 95))
    picture = difference_picture(grey(100), other)
    assert picture.getpixel((0, 9)) == (64, 0, 160)
    assert picture.getpixel((1, 9)) == (0, 0, 0)


def test_different_sizes_cannot_be_compared():
    with pytest.raises(ValueError, match="different sizes"):
        likeness(grey(0, (8, 8)), grey(0, (8, 9)))
