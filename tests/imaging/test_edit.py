import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modules.core.requests import FILLS, RESIZE_MODES, EditRequest
from modules.imaging.edit import BLANK, TOO_SMALL, prepared
from modules.imaging.mask import blur_reach, blurred, doubled


def request(**fields):
    return EditRequest(**({"init_images": ("x",), "width": 64, "height": 64, "seed": 5} | fields))


def red(size=(64, 64)):
    return Image.new("RGB", size, (255, 0, 0))


def pixels(image):
    return np.asarray(image).astype(int)


# Without a mask -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", RESIZE_MODES)
def test_a_picture_alone_is_brought_to_size(mode, noise):
    ready = prepared(request(resize_mode=mode), noise(100, 50))
    assert (ready.image.size, ready.image.mode, ready.mask, ready.note) == ((64, 64), "RGB", None, "")
    assert ready.latent_mask(8, 8).min() == ready.pixel_mask().min() == 1
    assert ready.paste(red()).tobytes() == red().tobytes()


def test_only_the_latent_mode_brings_the_small_picture(noise):
    assert prepared(request(), noise(103, 50)).small is None
    small = prepared(request(resize_mode="Just resize (latent upscale)"), noise(103, 50)).small
    assert small.size == (96, 48)


def test_transparency_shows_the_background():
    clear = Image.new("RGBA", (64, 64))
    assert prepared(request(background="#102030"), clear).image.getpixel((3, 3)) == (16, 32, 48)


# The whole picture --------------------------------------------------------------------------------------------------


def test_outside_the_mask_every_pixel_comes_back(noise, rectangle):
    picture, mask = noise(64, 64), rectangle((64, 64), (20, 20, 40, 44))
    ready = prepared(request(mask_blur_x=0, mask_blur_y=0), picture, mask)
    final = pixels(ready.paste(red()))
    inside = pixels(mask) == 255
    assert (final[inside] == [255, 0, 0]).all()
    assert np.array_equal(final[~inside], pixels(picture)[~inside])


def test_a_blurred_mask_is_doubled_for_pasting(noise, rectangle):
    picture, mask = noise(64, 64), rectangle((64, 64), (20, 20, 44, 44))
    ready = prepared(request(mask_blur_x=4, mask_blur_y=2), picture, mask)
    assert ready.mask.tobytes() == blurred(mask, 4, 2).tobytes()
    shown = doubled(ready.mask)
    assert ready.paste(red()).tobytes() == Image.composite(red(), picture, shown).tobytes()
    untouched = pixels(shown) == 0
    assert untouched.any()
    assert np.array_equal(pixels(ready.paste(red()))[untouched], pixels(picture)[untouched])


def test_what_is_not_masked_can_be_painted_instead(noise, rectangle):
    picture, mask = noise(64, 64), rectangle((64, 64), (20, 20, 40, 40))
    ready = prepared(request(mask_mode="Inpaint not masked", mask_blur_x=0, mask_blur_y=0), picture, mask)
    final = pixels(ready.paste(red()))
    assert np.array_equal(final[20:40, 20:40], pixels(picture)[20:40, 20:40])
    assert (final[:20] == [255, 0, 0]).all()


def test_a_mask_of_another_size_is_fitted(noise, rectangle):
    ready = prepared(request(mask_blur_x=0, mask_blur_y=0), noise(64, 64), rectangle((32, 32), (8, 8, 24, 24)))
    assert ready.mask.size == (64, 64)
    assert ready.mask.getpixel((32, 32)) == 255
    assert ready.mask.getpixel((4, 4)) == 0


@pytest.mark.parametrize("area", ["Whole picture", "Only masked"])
@pytest.mark.parametrize(("mode", "value"), [("Inpaint masked", 0), ("Inpaint not masked", 255)])
def test_a_blank_mask_is_none_and_says_so(area, mode, value, noise):
    picture = noise(64, 64)
    ready = prepared(request(inpaint_area=area, mask_mode=mode), picture, Image.new("L", (64, 64), value))
    assert (ready.mask, ready.note) == (None, BLANK)
    assert ready.image.tobytes() == picture.tobytes()
    assert ready.paste(red()).tobytes() == red().tobytes()


def test_a_speck_under_a_wide_blur_is_still_a_mask(noise, rectangle):
    picture, speck = noise(64, 64), rectangle((64, 64), (10, 10, 11, 11))
    ready = prepared(request(mask_blur_x=30, mask_blur_y=30), picture, speck)
    assert (ready.note, ready.mask.getbbox()) == (TOO_SMALL, (10, 10, 11, 11))
    assert (pixels(ready.paste(red())) != pixels(picture)).any(axis=-1).sum() <= 1


@pytest.mark.parametrize("content", FILLS)
def test_masked_content(content, rectangle):
    picture = Image.new("RGB", (64, 64), (0, 0, 200))
    picture.paste((0, 255, 0), (20, 20, 40, 40))
    asked = request(masked_content=content, mask_blur_x=0, mask_blur_y=0)
    ready = prepared(asked, picture, rectangle((64, 64), (20, 20, 40, 40)))
    green = pixels(ready.image)[30, 30, 1]
    assert green == 255 if content == "original" else green < 40
    assert ready.image.getpixel((2, 2)) == (0, 0, 200)
    assert ready.paste(ready.image).getpixel((2, 2)) == (0, 0, 200)


def test_the_latent_mask_is_rounded_unless_told(noise, rectangle):
    mask = rectangle((64, 64), (21, 21, 43, 43))
    hard = prepared(request(), noise(64, 64), mask).latent_mask(8, 8)
    assert set(np.unique(hard)) == {0, 1}
    for fields in ({"mask_round": False}, {"soft_inpainting": True}):
        soft = prepared(request(**fields), noise(64, 64), mask)
        assert ((soft.latent_mask(8, 8) > 0) & (soft.latent_mask(8, 8) < 1)).any()
        assert ((soft.pixel_mask() > 0) & (soft.pixel_mask() < 1)).any()
    assert set(np.unique(prepared(request(), noise(64, 64), mask).pixel_mask())) == {0, 1}


def test_a_drawing_with_alpha_is_a_mask(noise):
    drawn = Image.new("RGBA", (64, 64))
    drawn.paste((0, 0, 0, 255), (10, 10, 30, 30))  # a black brush on clear ground
    ready = prepared(request(mask_blur_x=0, mask_blur_y=0), noise(64, 64), drawn)
    assert ready.mask.getbbox() == (10, 10, 30, 30)


# Only masked --------------------------------------------------------------------------------------------------------


def only(**fields):
    return request(
        **({"inpaint_area": "Only masked", "mask_blur_x": 0, "mask_blur_y": 0, "inpaint_padding": 8} | fields)
    )


def test_only_masked_enlarges_the_place_and_leaves_the_rest(noise, rectangle):
    picture, mask = noise(200, 150), rectangle((200, 150), (100, 50, 116, 66))
    ready = prepared(only(), picture, mask)
    assert ready.image.tobytes() == picture.crop((92, 42, 124, 74)).resize((64, 64), 1).tobytes()  # 1: Lanczos
    final = ready.paste(red())
    assert final.size == (200, 150)
    inside = pixels(mask) == 255
    assert (pixels(final)[inside] == [255, 0, 0]).all()
    assert np.array_equal(pixels(final)[~inside], pixels(picture)[~inside])


def test_the_place_is_found_after_blurring(noise, rectangle):
    mask = rectangle((400, 400), (190, 190, 210, 210))
    ready = prepared(only(mask_blur_x=4, mask_blur_y=4, inpaint_padding=0), noise(400, 400), mask)
    box = blurred(mask, 4, 4).getbbox()
    assert ready.mask.tobytes() == blurred(mask, 4, 4).crop(box).resize((64, 64), 1).tobytes()


def test_what_lies_in_the_mask_comes_back_to_its_place(noise, rectangle):
    """A result that equals what was given changes nothing that can be seen, wherever the mask lies."""
    smooth = noise(20, 15).resize((200, 150), Image.Resampling.BICUBIC)
    for box in [(0, 0, 20, 20), (180, 130, 200, 150), (60, 10, 90, 140), (5, 70, 195, 80)]:
        ready = prepared(only(), smooth, rectangle((200, 150), box))
        difference = np.abs(pixels(ready.paste(ready.image)) - pixels(smooth))
        assert difference.mean() < 1, box
        assert difference.max() < 60, box


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_outside_the_mask_is_sacred(data):
    """Any size, mask, blur, area, padding: where the blurred mask is black, the original's bytes."""
    width, height = data.draw(st.integers(1, 150)), data.draw(st.integers(1, 150))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    picture = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    mask = Image.new("L", (width, height))
    mask.paste(255, (left, top, data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))))
    blur = data.draw(st.sampled_from([0, 1, 4, 20]))
    asked = only(
        mask_blur_x=blur,
        mask_blur_y=blur,
        inpaint_padding=data.draw(st.sampled_from([0, 8, 256])),
        width=data.draw(st.sampled_from([64, 96])),
        soft_inpainting=data.draw(st.booleans()),
        color_correction=data.draw(st.booleans()),
        masked_content=data.draw(st.sampled_from(FILLS)),
    )
    ready = prepared(asked, picture, mask)
    final = ready.paste(Image.new("RGB", ready.image.size, (255, 0, 0)))
    soft = blurred(mask, blur, blur)
    outside = pixels(soft if soft.getbbox() else mask) == 0
    assert final.size == (width, height)
    assert np.array_equal(pixels(final)[outside], pixels(picture)[outside])


# Soft, colours, outpainting -----------------------------------------------------------------------------------------


def test_soft_inpainting_shows_what_changed_at_the_edge(rectangle):
    picture, mask = Image.new("RGB", (64, 64), (60, 60, 60)), rectangle((64, 64), (20, 0, 44, 64))
    hard = prepared(request(mask_blur_x=8, mask_blur_y=8), picture, mask)
    soft = prepared(request(mask_blur_x=8, mask_blur_y=8, soft_inpainting=True), picture, mask)
    half_way = [pixels(ready.paste(red()))[32, 12] for ready in (hard, soft)]
    assert half_way[1][0] > half_way[0][0]
    assert soft.paste(picture).tobytes() == picture.tobytes()


def test_colours_come_back_when_asked(noise):
    picture = noise(8, 8).resize((64, 64), Image.Resampling.BICUBIC)
    blue = Image.fromarray((np.asarray(picture) * [0.3, 0.4, 1.0]).astype(np.uint8))
    plain, kept = (prepared(request(color_correction=flag), picture).paste(blue) for flag in (False, True))
    cast = [pixels(image)[..., 2].mean() - pixels(image)[..., 0].mean() for image in (plain, kept, picture)]
    assert abs(cast[1] - cast[2]) < 0.4 * abs(cast[0] - cast[2])


def test_outpainting_extends_the_canvas_and_masks_the_new_ground(noise):
    picture = noise(64, 64)
    asked = request(outpaint=(0, 0, 32, 0), width=96, mask_blur_x=2, mask_blur_y=2)
    ready = prepared(asked, picture)
    assert ready.image.size == (96, 64)
    old = 64 - 2 * blur_reach(2)
    assert ready.image.crop((0, 0, 64, 64)).tobytes() == picture.tobytes()
    assert (pixels(ready.mask)[:, 64:] == 255).all()
    final = pixels(ready.paste(Image.new("RGB", (96, 64), (255, 0, 0))))
    assert np.array_equal(final[:, :old], pixels(picture)[:, :old])
    assert (final[:, 64:] == [255, 0, 0]).all()
    assert prepared(asked, picture).image.tobytes() == ready.image.tobytes()


def test_outpainting_keeps_a_drawn_mask(noise, rectangle):
    asked = request(outpaint=(32, 0, 0, 0), width=96, mask_blur_x=0, mask_blur_y=0)
    ready = prepared(asked, noise(64, 64), rectangle((64, 64), (40, 10, 50, 20)))
    values = pixels(ready.mask)
    assert (values[:, :32] == 255).all()
    assert (values[10:20, 72:82] == 255).all()
    assert not values[30:, 32:].any()
