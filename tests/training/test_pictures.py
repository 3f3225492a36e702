"""Pictures as they are trained on, against torchvision's rules worked out by hand and torch's own resampling."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modules.core.errors import InvalidImage, InvalidRequest
from modules.core.training import TrainingPlan
from modules.training.pictures import Example, cut_to, data_hash, examples
from tests.training.pictures_on_disk import file_of, noise

PLAN = TrainingPlan(pictures=("a",), instance_prompt="a photo of sks cat", class_prompt="a photo of a cat")


def only(content, side=64, plan=PLAN, downscale=8, prior=False):
    (found,) = examples([content], plan, side, downscale, prior)
    return found


def by_torch(picture, side):
    """Shorter side to `side` (bilinear, antialiased), the middle cut out: what torchvision's Resize and CenterCrop do."""
    width, height = picture.size
    short, long = min(width, height), max(width, height)
    new_long = int(side * long / short)
    new_width, new_height = (side, new_long) if width <= height else (new_long, side)
    planes = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].double()
    resized = torch.nn.functional.interpolate(
        planes, (new_height, new_width), mode="bilinear", align_corners=False, antialias=True
    )
    top, left = round((new_height - side) / 2.0), round((new_width - side) / 2.0)
    return resized[0, :, top : top + side, left : left + side].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("size", [(200, 131), (131, 200), (64, 64), (65, 64), (40, 50), (333, 97)])
def test_the_transform_is_that_of_torchvision(size):
    picture = noise(*size)
    found = only(file_of(picture))
    assert found.pixels.shape == (64, 64, 3)
    assert found.pixels.dtype == np.uint8
    assert np.abs(found.pixels - by_torch(picture, 64)).max() <= 1
    assert (found.size, found.original, found.room) == ((64, 64), size, (0, 0))


def test_another_cut_is_another_picture():
    """The control of the test above: one pixel aside is seen."""
    picture = noise(200, 131)
    aside = by_torch(picture, 64)[:, 1:]
    assert np.abs(only(file_of(picture)).pixels[:, :-1] - aside).max() > 1


def test_pictures_are_turned_as_the_camera_says():
    picture = noise(80, 60)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    turned = only(file_of(picture, "JPEG", exif=exif, quality=100, subsampling=0))
    upright = by_torch(picture.rotate(-90, expand=True), 64)
    assert turned.original == (60, 80)
    assert np.abs(turned.pixels - upright).mean() < 3


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_white(mode):
    picture = Image.new("RGBA", (70, 70), (200, 10, 10, 0)).convert(mode)
    if mode == "P":
        picture.info["transparency"] = picture.getpixel((0, 0))
    assert only(file_of(picture)).pixels.min() == 255


def test_cmyk_greys_and_deep_greys():
    inks = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    assert np.abs(only(file_of(inks, "JPEG", quality=100)).pixels[32, 32].astype(int) - (255, 0, 0)).max() < 8
    assert (only(file_of(Image.new("L", (64, 64), 77))).pixels == 77).all()
    deep = Image.fromarray(np.full((64, 64), 32768, dtype=np.uint16))
    assert (only(file_of(deep)).pixels == 128).all()


def test_what_cannot_be_read_is_named():
    plan = replace(PLAN, pictures=("a", "b", "c"), names=("one.png", "two.txt", ""))
    contents = [file_of(noise(64, 64)), b"just text", file_of(noise(64, 64))[:60]]
    with pytest.raises(InvalidRequest) as raised:
        examples(contents, plan, 64, 8)
    first, second = raised.value.problems
    assert (first.field, first.message[:9]) == ("pictures", "two.txt: ")
    assert second.message.startswith("Picture 3: The picture is damaged")
    with pytest.raises(InvalidRequest, match="a stripe; crop it") as raised:
        examples([file_of(noise(1700, 100))], PLAN, 64, 8, prior=True)
    assert raised.value.problems[0].field == "class_pictures"


def test_captions_and_names():
    plan = replace(PLAN, pictures=("a", "b", "c"), names=("x.png", "", "z.png"), captions=("", "sks cat, red ", " "))
    found = examples([file_of(noise(64, 64, n)) for n in range(3)], plan, 64, 8)
    assert [one.caption for one in found] == ["a photo of sks cat", "sks cat, red", "a photo of sks cat"]
    assert [one.name for one in found] == ["x.png", "Picture 2", "z.png"]
    (prior,) = examples([file_of(noise(64, 64))], plan, 64, 8, prior=True)
    assert (prior.caption, prior.name) == ("a photo of a cat", "Class picture 1")


# Cropping ----------------------------------------------------------------------------------------------------------------


def test_a_box_is_cut_before_anything_else():
    picture = Image.new("RGB", (200, 100))
    picture.paste((255, 0, 0), (100, 0, 200, 100))
    found = only(file_of(picture), plan=replace(PLAN, crops=((0.5, 0.0, 1.0, 1.0),)))
    assert found.original == (100, 100)
    assert (found.pixels == (255, 0, 0)).all()
    whole = only(file_of(picture), plan=replace(PLAN, crops=((0.0, 0.0, 0.0, 0.0),)))
    assert whole.original == (200, 100)


@pytest.mark.parametrize("box", [(0.5, 0.0, 0.5, 1.0), (0.9, 0.0, 0.1, 1.0), (-0.1, 0, 1, 1), (0, 0, 1, 1.1)])
def test_a_box_that_is_none(box):
    with pytest.raises(InvalidImage, match="is no box"):
        cut_to(noise(64, 64), box)


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(1, 60), st.integers(1, 60))
def test_any_box_keeps_a_pixel(a, b, c, d, width, height):
    left, right = sorted((a, c))
    top, bottom = sorted((b, d))
    if left < right and top < bottom:
        cut = cut_to(Image.new("RGB", (width, height)), (left, top, right, bottom))
        assert 1 <= cut.width <= width
        assert 1 <= cut.height <= height


def test_a_moving_window_keeps_all_of_the_picture():
    found = only(file_of(noise(128, 64)), plan=replace(PLAN, crop="random"))
    assert (found.pixels.shape, found.room, found.size) == ((64, 128, 3), (64, 0), (64, 64))
    assert found.shown().size == (64, 64)
    assert (np.asarray(found.shown()) == found.pixels[:, 32:96]).all()
    assert (found.window(3, 0) == found.pixels[:, 3:67]).all()


def test_the_focal_crop_finds_the_subject():
    picture = Image.new("RGB", (300, 100), (90, 120, 90))
    picture.paste(noise(60, 60, 3), (20, 20))
    focal = only(file_of(picture), plan=replace(PLAN, crop="focal"))
    middle = only(file_of(picture))
    assert focal.crop[0] < 20 < middle.crop[0]
    assert np.ptp(focal.pixels) > 50 > np.ptp(middle.pixels)


# Buckets ----------------------------------------------------------------------------------------------------------------


def test_buckets_keep_the_shape():
    plan = replace(PLAN, buckets=True)
    wide, tall = (only(file_of(noise(*size)), 128, plan) for size in ((300, 200), (200, 300)))
    assert wide.size == (160, 96)
    assert tall.size == (96, 160)
    assert wide.pixels.shape == (96, 160, 3)
    assert only(file_of(noise(90, 90)), 128, plan).size == (128, 128)
    assert only(file_of(noise(300, 200)), 128, plan, prior=True).size == (128, 128)


def test_class_pictures_follow_the_size_of_what_they_train_beside():
    square = only(file_of(noise(64, 64)), 128, prior=True)
    wide = square.at((160, 96))
    assert (wide.pixels.shape, wide.size, wide.crop) == ((96, 160, 3), (160, 96), (0, 32))
    assert wide.caption == square.caption
    assert square.at((128, 128)) is square


# What is trained on, in one number ---------------------------------------------------------------------------------------


def test_the_hash_is_of_pixels_and_captions():
    one = only(file_of(noise(64, 64)))
    again = only(file_of(noise(64, 64), compress_level=0))
    assert data_hash([one]) == data_hash([again])
    others = [replace(one, caption="b"), replace(one, pixels=one.pixels[::-1]), only(file_of(noise(64, 64, 1)))]
    assert len({data_hash([other]) for other in [one, *others]} | {data_hash([one, one])}) == 5


def test_examples_are_what_is_written_for_people_to_see():
    found = only(file_of(noise(64, 48)))
    written = io.BytesIO()
    found.shown().save(written, "PNG")
    assert (np.asarray(Image.open(written)) == found.pixels).all()
    assert isinstance(found, Example)
