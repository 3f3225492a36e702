"""What the img2img tab's script sends beside the form: read strictly, because it comes from outside."""

import json
from dataclasses import dataclass
from typing import Any

import gradio as gr
import pytest

from modules.core.errors import InvalidRequest, QueueFull
from modules.core.requests import EditRequest
from modules.web.widgets import generating
from modules.web.widgets.edits import described, with_task
from modules.web.widgets.form import Form

TASK = {"init_images": ["a" * 64], "mask": "b" * 64, "outpaint": [8, 0, 16, 0]}


def told(**changes: Any) -> str:
    return json.dumps(TASK | changes)


def test_the_task_is_put_into_the_request():
    request = with_task(EditRequest(prompt="a cat", mask_blur_x=9), told())
    assert request.init_images == ("a" * 64,)
    assert request.mask == "b" * 64
    assert request.outpaint == (8, 0, 16, 0)
    assert (request.mask_blur_x, request.mask_blur_y) == (9, 9)
    assert request.prompt == "a cat"
    assert request.checked() == request


def test_a_size_of_its_own_goes_before_the_forms():
    request = with_task(EditRequest(width=512, height=512), told(width=96, height=64))
    assert (request.width, request.height) == (96, 64)
    assert with_task(EditRequest(width=512), told()).width == 512


def test_without_a_task_there_is_no_picture_and_the_check_says_so():
    request = with_task(EditRequest(), "")
    with pytest.raises(InvalidRequest, match="no picture to start from"):
        request.checked()


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("no json", "init_images"),
        ("[]", "init_images"),
        (told(init_images="abc"), "init_images"),
        (told(init_images=[1]), "init_images"),
        (told(init_images=["a"] * 65), "init_images"),
        (told(mask=["x"]), "mask"),
        (told(outpaint=[1, 2, 3]), "outpaint"),
        (told(outpaint=[0, 0, 0, 0.5]), "outpaint"),
        (told(outpaint=[0, 0, 0, True]), "outpaint"),
        (told(width="64"), "width"),
        (told(height=64.5), "height"),
    ],
)
def test_what_the_script_would_not_send_is_refused_with_its_field(text, field):
    with pytest.raises(InvalidRequest) as caught:
        with_task(EditRequest(), text)
    assert [one.field for one in caught.value.problems] == [field]


def test_a_picture_to_describe():
    assert described(told()).picture == "a" * 64
    with pytest.raises(InvalidRequest, match="no picture to describe"):
        described("").checked()
    with pytest.raises(InvalidRequest):
        described("[1]")


def test_sides_out_of_range_are_left_to_the_requests_own_check():
    with pytest.raises(InvalidRequest, match="between 0 and 1024"):
        with_task(EditRequest(), told(outpaint=[0, 0, 0, 4096])).checked()


class Settings:
    def __init__(self, **values: Any) -> None:
        self.values = values

    def get(self, name: str) -> Any:
        return self.values[name]


@dataclass
class Studio:
    settings: Settings


@pytest.fixture
def form():
    with gr.Blocks():
        made = Form("img2img", EditRequest)
        for name in ("prompt", "seed", "width", "height", "mask_blur_x", "denoising_strength"):
            made.add(name)
    return made


def test_the_fields_have_the_ids_of_the_field(form):
    assert form.components["mask_blur_x"].elem_id == "img2img_mask_blur"
    assert form.components["denoising_strength"].elem_id == "img2img_denoising_strength"
    assert form.element("inpaint_padding") == "img2img_inpaint_full_res_padding"


TEXT = "a cat\nSteps: 9, Sampler: Euler, CFG scale: 3, Seed: 77, Size: 96x72, Denoising strength: 0.4"


@pytest.mark.parametrize(
    ("seed", "size", "kept"),
    [(True, True, set()), (False, True, {"seed"}), (True, False, {"width", "height"})],
)
def test_what_another_tab_sends_leaves_out_what_the_settings_say(form, seed, size, kept):
    without = generating._not_sent(Studio(Settings(send_seed=seed, send_size=size)))
    changed = {name: form.pasted(TEXT, without)[one] for name, one in form.components.items()}
    assert {name for name in ("seed", "width", "height") if changed[name] == gr.skip()} == kept
    assert changed["prompt"] == "a cat"
    assert changed["denoising_strength"] == 0.4


def test_a_ticket_names_the_job_or_the_reason():
    @dataclass
    class Job:
        id: str

    assert json.loads(generating.accepted(Job("j1"))) == {"job": "j1"}
    assert json.loads(generating.refused(QueueFull("Too many.")))["sentence"] == "Too many."
