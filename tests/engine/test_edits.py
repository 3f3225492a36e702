"""Pictures from pictures, in a real engine process with real small models."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from modules.core import events
from modules.core.requests import EditRequest, ModelRecord
from modules.families import random_weights
from modules.prompts.infotext import parse_infotext
from tests.engine.engine_process import Engine, pictures, record_of

SIZE = 64


def png(image: Image.Image) -> bytes:
    with io.BytesIO() as file:
        image.save(file, "PNG")
        return file.getvalue()


def pixels(picture: events.ImageReady) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)


def photo(width: int = SIZE, height: int = SIZE) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def square(size: int = SIZE, part: tuple[int, int, int, int] = (16, 16, 40, 40)) -> Image.Image:
    mask = Image.new("L", (size, size), 0)
    ImageDraw.Draw(mask).rectangle(part, fill=255)
    return mask


INPUTS = (
    events.InputPicture(id="photo", data=png(photo())),
    events.InputPicture(id="other", data=png(photo().rotate(90))),
    events.InputPicture(id="large", data=png(photo(160, 96))),
    events.InputPicture(id="mask", data=png(square())),
    events.InputPicture(id="blank", data=png(Image.new("L", (SIZE, SIZE), 0))),
    events.InputPicture(id="broken", data=b"no picture"),
)


@pytest.fixture(scope="session")
def of_kind(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ModelRecord]:
    folder = tmp_path_factory.mktemp("kinds")

    def make(kind: str) -> ModelRecord:
        path = folder / f"{kind}.safetensors"
        if not path.exists():
            random_weights.write(path, random_weights.small(kind), seed=0)
        return record_of(path)

    return make


@pytest.fixture
def edit(engine: Engine, record: ModelRecord) -> Callable[..., list[Any]]:
    """Run a small edit; all that the engine said."""

    def run(model: ModelRecord = record, **known: Any) -> list[Any]:
        defaults: dict[str, Any] = {
            "prompt": "a cat",
            "width": SIZE,
            "height": SIZE,
            "steps": 4,
            "seed": 7,
            "cfg_scale": 2,
            "init_images": ("photo",),
        }
        return engine.draw(EditRequest(**(defaults | known)), model, inputs=INPUTS)

    return run


def only(heard: list[Any]) -> events.ImageReady:
    assert isinstance(heard[-1], events.Finished), heard[-1]
    (picture,) = pictures(heard)
    return picture


def test_more_strength_moves_further_from_the_picture(edit: Callable[..., list[Any]]) -> None:
    original = np.asarray(photo()).astype(int)
    near, far = (pixels(only(edit(denoising_strength=strength))) for strength in (0.0, 0.9))
    assert abs(far - near).mean() > 5
    assert near.shape == original.shape
    again = pixels(only(edit(denoising_strength=0.9)))
    assert (again == far).all(), "the same request gives the same pixels"


def test_its_text_says_what_was_done(edit: Callable[..., list[Any]]) -> None:
    heard = edit(
        mask="mask", mask_blur_x=2, mask_blur_y=2, masked_content="fill", inpaint_area="Only masked", inpaint_padding=8
    )
    text = parse_infotext(only(heard).infotext)
    assert text["Denoising strength"] == "0.75"
    assert (text["Mask blur"], text["Inpaint area"], text["Masked area padding"]) == ("2", "Only masked", "8")
    assert text["Masked content"] == "fill"
    plain = only(edit(denoising_strength=0.5)).infotext
    assert "Mask" not in plain
    assert "Denoising strength: 0.5" in plain


@pytest.mark.parametrize("content", ["fill", "original", "latent noise", "latent nothing"])
@pytest.mark.parametrize("area", ["Whole picture", "Only masked"])
def test_pixels_outside_the_mask_come_back_exactly(edit: Callable[..., list[Any]], content: str, area: str) -> None:
    heard = edit(
        mask="mask", mask_blur_x=0, mask_blur_y=0, masked_content=content, inpaint_area=area, inpaint_padding=8
    )
    found, original = pixels(only(heard)), np.asarray(photo()).astype(int)
    outside = np.asarray(square()) == 0
    assert (found[outside] == original[outside]).all()
    assert abs(found[~outside] - original[~outside]).mean() > 5


def test_the_other_way_round(edit: Callable[..., list[Any]]) -> None:
    heard = edit(mask="mask", mask_blur_x=0, mask_blur_y=0, mask_mode="Inpaint not masked")
    found, original = pixels(only(heard)), np.asarray(photo()).astype(int)
    inside = np.asarray(square()) > 0
    assert (found[inside] == original[inside]).all()
    assert parse_infotext(only(heard).infotext)["Mask mode"] == "Inpaint not masked"


def test_only_masked_keeps_the_size_of_a_large_picture(engine: Engine, record: ModelRecord) -> None:
    mask = square(160).crop((0, 0, 160, 96))
    inputs = (*INPUTS, events.InputPicture(id="place", data=png(mask)))
    request = EditRequest(
        width=64, height=64, steps=3, seed=7, init_images=("large",), mask="place", inpaint_area="Only masked", mask_blur_x=0, mask_blur_y=0
    )  # fmt: skip
    found = pixels(only(engine.draw(request, record, inputs=inputs)))
    assert found.shape == (96, 160, 3)
    outside = np.asarray(mask) == 0
    assert (found[outside] == np.asarray(photo(160, 96)).astype(int)[outside]).all()


@pytest.mark.parametrize("mode", ["Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)"])
def test_ways_to_bring_a_picture_to_size(edit: Callable[..., list[Any]], mode: str) -> None:
    picture = only(edit(init_images=("large",), resize_mode=mode, denoising_strength=0.1))
    assert (picture.width, picture.height) == (SIZE, SIZE)


def test_pictures_of_a_batch_start_from_their_own(edit: Callable[..., list[Any]]) -> None:
    both = pictures(edit(init_images=("photo", "other"), batch_size=2, denoising_strength=0.3))
    alone = only(edit(init_images=("other",), seed=8, denoising_strength=0.3))
    assert abs(pixels(both[1]) - pixels(alone)).max() <= 2
    assert abs(pixels(both[0]) - pixels(both[1])).mean() > 5


def test_a_blank_mask_is_none(edit: Callable[..., list[Any]]) -> None:
    heard = edit(mask="blank")
    assert (pixels(only(heard)) == pixels(only(edit()))).all()
    assert "mask is blank" in heard[-1].note


@pytest.mark.parametrize("sampler", ["DDIM", "Euler a"])
@pytest.mark.parametrize("soft", [False, True])
def test_masks_work_with_both_kinds_of_samplers(edit: Callable[..., list[Any]], sampler: str, soft: bool) -> None:
    heard = edit(mask="mask", sampler=sampler, soft_inpainting=soft, mask_blur_x=4, mask_blur_y=4)
    found, original = pixels(only(heard)), np.asarray(photo()).astype(int)
    assert (found[:2] == original[:2]).all(), "far from the mask nothing changes"
    assert abs(found[20:36, 20:36] - original[20:36, 20:36]).mean() > 5


def test_outpainting_makes_it_larger(edit: Callable[..., list[Any]]) -> None:
    heard = edit(outpaint=(0, 0, 32, 0), width=96, mask_blur_x=0, mask_blur_y=0, masked_content="fill")
    found, original = pixels(only(heard)), np.asarray(photo()).astype(int)
    assert found.shape == (SIZE, 96, 3)
    assert (found[:, :56] == original[:, :56]).all()
    assert parse_infotext(only(heard).infotext)["Outpaint"] == "0 0 32 0"


def test_an_inpainting_model_sees_mask_and_picture(edit: Callable[..., list[Any]], of_kind: Any) -> None:
    model = of_kind("sd1-inpaint")
    whole, hidden = (pixels(only(edit(model, mask="mask", inpainting_mask_weight=weight))) for weight in (0.0, 1.0))
    assert abs(whole - hidden)[16:40, 16:40].mean() > 1
    text = parse_infotext(only(edit(model, mask="mask")).infotext)
    assert text["Conditional mask weight"] == "1"


def test_an_editing_model_is_guided_by_the_picture(edit: Callable[..., list[Any]], of_kind: Any) -> None:
    model = of_kind("sd1-edit")
    loose, close = (only(edit(model, image_cfg_scale=scale, denoising_strength=1)) for scale in (1.0, 3.0))
    assert abs(pixels(loose) - pixels(close)).mean() > 0.5
    assert parse_infotext(close.infotext)["Image CFG scale"] == "3"


def test_a_file_that_is_no_picture_is_a_sentence(edit: Callable[..., list[Any]]) -> None:
    failure = edit(init_images=("broken",))[-1]
    assert isinstance(failure, events.Failed)
    assert failure.kind == "InvalidImage"


def test_steps_exactly(edit: Callable[..., list[Any]]) -> None:
    def steps(**known: Any) -> int:
        heard = edit(denoising_strength=0.5, steps=8, **known)
        return max(one.steps for one in heard if isinstance(one, events.Progress) and one.doing == "Drawing")

    assert steps() == 5
    assert steps(exact_steps=True) == 8
