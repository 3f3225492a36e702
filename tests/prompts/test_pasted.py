"""A picture's text as fields of a request."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.core.requests import EditRequest, ImageRequest, MergeRequest
from modules.prompts.infotext import parse_infotext, write_infotext
from modules.prompts.pasted import values_of, with_networks_here

SAMPLES = json.loads((Path(__file__).parent / "picture_texts.json").read_text(encoding="utf-8"))


def read(pairs, kind=ImageRequest, prompt="a cat"):
    return values_of(
        parse_infotext(write_infotext(prompt, "bad", {"Steps": 20, "Sampler": "Euler", "Seed": 5} | pairs)), kind
    )


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample["name"] for sample in SAMPLES])
def test_every_observed_text_makes_a_request(sample):
    values = values_of(parse_infotext(sample["text"]), ImageRequest)
    request = replace(ImageRequest(), **values)
    for field in fields(ImageRequest):
        if isinstance(field.default, bool | int | str):
            assert type(getattr(request, field.name)) is type(field.default), field.name
    assert request.prompt == sample["parsed"]["Prompt"]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ({"CFG scale": "6.5"}, {"cfg_scale": 6.5}),
        ({"Steps": "30.0"}, {"steps": 30}),
        ({"Steps": "many"}, {"steps": None}),
        ({"CFG scale": "inf"}, {"cfg_scale": None}),
        ({"Seed": 2**63 - 1}, {"seed": 2**63 - 1}),
        ({"Size": "64x48"}, {"width": 64, "height": 48}),
        ({"Tiling": "True"}, {"tiling": True}),
        ({"Tiling": "False"}, {"tiling": False}),
        ({"Tiling": "perhaps"}, {"tiling": None}),
        ({"Eta": 0.5, "Eta DDIM": 0.2}, {"eta": 0.5}),
        ({"Eta DDIM": 0.2}, {"eta": 0.2}),
        ({}, {"eta": None, "clip_skip": 1, "enable_hr": False, "hr_sampler": "", "hr_schedule": "", "hr_model": ""}),
        (
            {"Denoising strength": 0.5, "Hires upscaler": "Latent", "Hires upscale": 2},
            {"enable_hr": True, "hr_scale": 2},
        ),
        (
            {"Denoising strength": 0.5, "Hires resize": "0x768"},
            {"enable_hr": True, "hr_resize_x": 0, "hr_resize_y": 768},
        ),
        ({"Denoising strength": 0.5}, {"enable_hr": False}),
        ({"Hires upscale": 2}, {"enable_hr": False}),
        ({"Hires sampler": "Heun", "Hires schedule type": "Karras"}, {"hr_sampler": "Heun", "hr_schedule": "Karras"}),
        ({"Seed resize from": "64x72"}, {"seed_resize_from_w": 64, "seed_resize_from_h": 72}),
        ({"Template": "a {b|c}", "Negative Template": "{d|e}"}, {"template": "a {b|c}", "negative_template": "{d|e}"}),
        ({"Emphasis": "No norm", "Clip skip": 2}, {"emphasis": "No norm", "clip_skip": 2}),
        (
            {"Refiner": "r [0123456789]", "Refiner switch at": 0.5},
            {"refiner_model": "r [0123456789]", "refiner_switch_at": 0.5},
        ),
        ({"Variation seed": 3, "Variation seed strength": 0.5}, {"subseed": 3, "subseed_strength": 0.5}),
        ({"Batch size": 4}, {"batch_size": None}),
        ({"Version": "v1.5.2", "Custom": "[x]"}, {"old_editing": None}),
    ],
)
def test_fields(pairs, expected):
    found = read(pairs)
    assert {name: found.get(name) for name in expected} == expected


def test_old_pictures_keep_their_timelines():
    assert read({"Version": "v1.5.2"}, prompt="a [b:c:5]")["old_editing"] is True


def test_an_edit_has_its_own():
    found = read(
        {
            "Denoising strength": 0.4,
            "Mask blur": 8,
            "Mask mode": "Inpaint not masked",
            "Inpaint area": "Only masked",
            "Masked area padding": 16,
            "Masked content": "fill",
            "Soft inpainting enabled": True,
            "Soft inpainting schedule bias": 1.5,
            "Outpaint": "8 0 16 0",
            "Noise multiplier": 0.9,
        },
        EditRequest,
    )
    expected = {
        "denoising_strength": 0.4,
        "mask_blur_x": 8,
        "mask_blur_y": 8,
        "mask_mode": "Inpaint not masked",
        "inpaint_area": "Only masked",
        "inpaint_padding": 16,
        "masked_content": "fill",
        "soft_inpainting": True,
        "soft_power": 1.5,
        "outpaint": (8, 0, 16, 0),
        "initial_noise_multiplier": 0.9,
        "enable_hr": False,
    }
    assert {name: found[name] for name in expected} == expected
    assert "outpaint" not in read({"Outpaint": "1 2 3"}, EditRequest)
    assert "outpaint" not in read({"Outpaint": "1 2 3 4"})


def test_styles_are_named():
    parsed = {"Prompt": "a cat", "Styles array": ["ink", "sharp"]}
    assert values_of(parsed, ImageRequest)["styles"] == ("ink", "sharp")


def test_a_request_without_texts_gets_none():
    assert "prompt" not in values_of(parse_infotext("a cat\nSteps: 1, Seed: 2, Size: 8x8"), MergeRequest)


def test_loras_get_the_names_they_have_here():
    text = write_infotext(
        "a <lora:fur:0.8> cat <lora:unknown:1>",
        "",
        {
            "Steps": 1,
            "Sampler": "Euler",
            "Hires prompt": "<lora:fur:0.5>",
            "Lora hashes": "fur: 0123456789ab, unknown: ffff",
        },
    )
    found = with_networks_here(parse_infotext(text), {"0123456789ab": "my fur v2"})
    assert found["Prompt"] == "a <lora:my fur v2:0.8> cat <lora:unknown:1>"
    assert found["Hires prompt"] == "<lora:my fur v2:0.5>"
    assert found["Steps"] == "1"
    assert with_networks_here(parse_infotext("a <lora:x:1>"), {"0": "y"})["Prompt"] == "a <lora:x:1>"


@given(st.text(st.sampled_from('ab: ,"\\\n-x1.') | st.characters(), max_size=200))
def test_any_text_gives_values_that_fit_their_fields(text):
    for kind in (ImageRequest, EditRequest):
        replace(kind(), **values_of(parse_infotext(text), kind))


numbers = st.floats(0, 1e6) | st.integers(-1, 2**63 - 1)


@given(
    steps=st.integers(1, 150),
    seed=st.integers(0, 2**63 - 1),
    cfg=st.floats(0, 30),
    prompt=st.text("ab (1):\n", max_size=30),
)
def test_what_is_written_comes_back_as_it_was(steps, seed, cfg, prompt):
    pairs = {"Steps": steps, "Sampler": "DPM++ 2M", "CFG scale": cfg, "Seed": seed, "Size": "64x64", "Clip skip": 2}
    found = values_of(parse_infotext(write_infotext(prompt.strip(), "", pairs)), ImageRequest)
    assert (found["steps"], found["seed"], found["cfg_scale"], found["clip_skip"]) == (steps, seed, cfg, 2)
    assert found["sampler"] == "DPM++ 2M"
