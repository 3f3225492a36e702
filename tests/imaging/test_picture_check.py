"""What is worth knowing of a picture before it is trained on."""

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from modules.core.errors import InvalidImage
from modules.imaging.picture_check import duplicates, look, perceptual_hash, sharpness


def file_of(picture, format="PNG", **known):
    written = io.BytesIO()
    picture.save(written, format, **known)
    return written.getvalue()


@cache
def landscape(seed, width=256, height=192, falloff=1.2):
    """Noise with the spectrum of photographs (amplitude 1/f), in colours that differ by seed."""
    rng = np.random.default_rng(seed)
    y, x = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    frequency = np.maximum(np.hypot(y, x), 1 / max(width, height))
    planes = [np.real(np.fft.ifft2(np.fft.fft2(rng.normal(size=(height, width))) / frequency**falloff)) for _ in "rgb"]
    scaled = [(plane - plane.mean()) / plane.std() * 45 + rng.uniform(90, 160) for plane in planes]
    return Image.fromarray(np.clip(np.stack(scaled, axis=2), 0, 255).astype(np.uint8))


def drawing():
    picture = Image.new("RGB", (128, 128), (80, 160, 80))
    pen = ImageDraw.Draw(picture)
    pen.ellipse((30, 30, 100, 100), (220, 120, 40), outline="black")
    pen.rectangle((50, 55, 60, 65), "black")
    return picture


@pytest.mark.parametrize("picture", [landscape(1), landscape(2, falloff=1.4), landscape(3, 640, 512), drawing()])
def test_what_is_sharp_and_what_is_not(picture):
    looked = look(file_of(picture))
    assert not any(looked.blurred(resolution) for resolution in (64, 128, 512))
    soft = picture.filter(ImageFilter.GaussianBlur(min(picture.size) / 20))
    assert look(file_of(soft)).blurred(512)
    assert sharpness(soft, 512) < sharpness(picture, 512) / 5


def test_blur_counts_where_it_can_be_seen():
    soft = look(file_of(landscape(3, 640, 512).filter(ImageFilter.GaussianBlur(4))))
    assert not soft.blurred(128)
    assert soft.blurred(512)


def test_one_colour_is_neither_a_crash_nor_sharp():
    looked = look(file_of(Image.new("RGB", (40, 30), "green")))
    assert looked.blurred(512)
    assert (looked.width, looked.height) == (40, 30)
    assert look(file_of(Image.new("L", (1, 1)))).width == 1


def test_turned_and_transparent():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = look(file_of(landscape(1), "JPEG", exif=exif))
    assert (turned.turned, turned.width, turned.height) == (True, 192, 256)
    assert not look(file_of(landscape(1), "JPEG")).turned
    holes = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    assert look(file_of(holes)).transparent
    assert not look(file_of(Image.new("RGBA", (64, 64), "red"))).transparent


def test_what_is_no_picture():
    with pytest.raises(InvalidImage):
        look(b"text")
    with pytest.raises(InvalidImage):
        look(file_of(landscape(1))[:500])


# Copies ------------------------------------------------------------------------------------------------------------------

CHANGES = {
    "size": lambda picture: picture.resize((170, 128), Image.Resampling.LANCZOS),
    "light": lambda picture: ImageEnhance.Brightness(picture).enhance(1.05),
    "edges": lambda picture: picture.crop((3, 2, 253, 190)),
    "file": lambda picture: Image.open(io.BytesIO(file_of(picture, "JPEG", quality=60))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nearly_the_same_picture(change):
    for seed in range(4):
        one, other = landscape(seed), CHANGES[change](landscape(seed))
        assert look(file_of(one)).like(look(file_of(other))), seed


def test_other_pictures_are_not():
    looked = [look(file_of(landscape(seed))) for seed in range(8)]
    assert duplicates(looked) == {}
    mirrored = look(file_of(landscape(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    assert not mirrored.like(looked[1])
    recoloured = look(file_of(Image.merge("RGB", landscape(1).split()[::-1])))
    assert not recoloured.like(looked[1])


def test_copies_point_to_the_first():
    one, other = look(file_of(landscape(1))), look(file_of(landscape(2)))
    again = look(file_of(CHANGES["light"](landscape(1))))
    assert duplicates([one, other, again, None, again]) == {2: 0, 4: 0}
    assert duplicates([]) == {}


def test_the_hash_has_64_bits_and_forgives_lightness():
    hashes = {perceptual_hash(landscape(seed)) for seed in range(8)}
    assert len(hashes) == 8
    assert all(0 <= one < 2**64 for one in hashes)
    lighter = perceptual_hash(ImageEnhance.Brightness(landscape(1)).enhance(1.08))
    assert (perceptual_hash(landscape(1)) ^ lighter).bit_count() <= 3
