"""The parts of the field's API that need no server: lenient types, pictures in bodies, times."""

import base64

import pytest
from fastapi import HTTPException
from pydantic import ValidationError

from modules.core.errors import InvalidRequest, Problem
from modules.web.http.sdapi import their_problems
from modules.web.http.sdapi_answer import timestamp
from modules.web.http.sdapi_body import Text2ImageBody
from modules.web.http.sdapi_image import image_bytes
from modules.web.http.sdapi_settings import eta_setting


def test_defaults_of_the_field():
    body = Text2ImageBody()
    assert (body.steps, body.cfg_scale, body.sampler_index, body.n_iter, body.seed) == (50, 7.0, "Euler", 1, -1)
    assert (body.send_images, body.save_images, body.hr_scale, body.override_settings_restore_afterwards) == (
        True,
        False,
        2.0,
        True,
    )


def test_null_stands_for_the_default():
    body = Text2ImageBody(steps=None, prompt=None, send_images=None)
    assert (body.said("steps"), body.said("prompt"), body.said("send_images")) == (50, "", True)
    assert (body.steps, body.prompt) == (None, None), "the echo says what was received"


@pytest.mark.parametrize(
    ("value", "read"), [("7", 7), (7.9, 7), (-7.9, -7), (True, 1), (False, 0), ("", None), (None, None)]
)
def test_whole_numbers(value, read):
    assert Text2ImageBody(seed=value).seed == read


@pytest.mark.parametrize("value", ["x", float("nan"), float("inf"), [], {}, "1.5x"])
def test_what_is_no_whole_number(value):
    with pytest.raises(ValidationError):
        Text2ImageBody(seed=value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "-inf", "x", []])
def test_what_is_no_number(value):
    with pytest.raises(ValidationError):
        Text2ImageBody(cfg_scale=value)


def test_unknown_fields_are_dropped():
    assert "sd_model" not in Text2ImageBody.model_validate({"sd_model": "x"}).model_dump()


@pytest.mark.parametrize(
    "text",
    ["{}", "data:image/png;base64,{}", "data:image/jpeg;base64,{}", " {}\n", "data:,{}"],
)
def test_pictures_in_bodies(text):
    assert image_bytes(text.format(base64.b64encode(b"content").decode())) == b"content"


@pytest.mark.parametrize("text", ["", "data:", "data:image/png;base64,", "====", "A", "é"])
def test_what_is_no_picture(text):
    with pytest.raises(HTTPException) as refused:
        image_bytes(text)
    assert (refused.value.status_code, refused.value.detail) == (500, "Invalid encoded image")


def test_addresses_are_not_fetched():
    with pytest.raises(HTTPException) as refused:
        image_bytes("https://example.com/cat.png")
    assert refused.value.status_code == 422


def test_complaints_name_the_clients_fields():
    problems = [Problem(field="batch_count", message="Too many."), Problem(field="width", message="Too wide.")]
    translated = their_problems(InvalidRequest(*problems))
    assert isinstance(translated, InvalidRequest)
    assert [one.field for one in translated.problems] == ["n_iter", "width"]
    unknown = their_problems(InvalidRequest(Problem(field="sampler", message="no sampler"), *problems))
    assert isinstance(unknown, HTTPException)
    assert (unknown.status_code, unknown.detail) == (400, "Sampler not found")


def test_times_as_the_field_writes_them():
    assert timestamp(None) == "0"
    assert len(timestamp(1_700_000_000.5)) == 14


@pytest.mark.parametrize(
    ("sampler", "name"), [("DDIM", "eta_ddim"), ("ddim CFG++", "eta_ddim"), ("Euler a", "eta_ancestral")]
)
def test_which_setting_is_a_samplers_eta(sampler, name):
    assert eta_setting(sampler) == name
