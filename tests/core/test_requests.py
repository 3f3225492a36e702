"""A request's values are checked field by field, and every complaint is a sentence that names the value."""

import pytest

from modules.core.errors import InvalidRequest
from modules.core.fields import shown_fields
from modules.core.image_fields import LONGEST_PROMPT
from modules.core.requests import (
    EditRequest,
    ImageRequest,
    InterrogateRequest,
    MergeRequest,
    ModelRecord,
    UpscaleRequest,
)


def complaint(kind=ImageRequest, **values):
    with pytest.raises(InvalidRequest) as caught:
        kind(**values).checked()
    return caught.value.problems


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("width", 7, "Width is 7; it must be between 64 and 2048."),
        ("width", 65, "Width is 65; it must be a multiple of 8."),
        ("width", -8, "Width is -8; it must be between 64 and 2048."),
        ("height", 10**9, "Height is 1000000000; it must be between 64 and 2048."),
        ("steps", 0, "Sampling steps is 0; it must be between 1 and 150."),
        ("steps", 10**6, "Sampling steps is 1000000; it must be between 1 and 150."),
        ("cfg_scale", float("nan"), "CFG Scale is nan; it must be a number."),
        ("cfg_scale", float("inf"), "CFG Scale is inf; it must be a number."),
        ("batch_size", 0, "Batch size is 0; it must be between 1 and 8."),
        ("clip_skip", 13, "Clip skip is 13; it must be between 1 and 12."),
        ("emphasis", "Loud", "Emphasis is 'Loud'; it must be one of Original, No norm, Ignore, None."),
    ],
)
def test_a_value_out_of_range_is_named(field, value, expected):
    (problem,) = complaint(**{field: value})
    assert (problem.field, problem.message) == (field, expected)


def test_a_huge_seed_is_refused_without_printing_it_whole():
    (problem,) = complaint(seed=2**800)
    assert problem.message.startswith("Seed is a number of 241 digits")


def test_every_wrong_field_is_reported_at_once():
    assert {problem.field for problem in complaint(width=7, steps=0, prompt="a" * 30_000)} == {
        "width",
        "steps",
        "prompt",
    }


@pytest.mark.parametrize("prompt", ["a\0b", "\ud83d alone", "\udc00"])
def test_text_that_no_database_or_picture_could_keep_is_refused(prompt):
    (problem,) = complaint(prompt=prompt)
    assert "no text" in problem.message


def test_the_longest_prompt_passes():
    assert ImageRequest(prompt="é" * LONGEST_PROMPT).checked().images == 1


def test_one_job_has_a_ceiling():
    (problem,) = complaint(width=2048, height=2048, steps=150, batch_size=8, batch_count=100)
    assert "800 pictures of 2048x2048 in 150 steps" in problem.message


def test_a_checked_request_is_itself():
    request = ImageRequest(prompt="a cat 🐈", seed=7)
    assert request.checked() is request


@pytest.mark.parametrize("kind", [ImageRequest, EditRequest, UpscaleRequest, MergeRequest])
def test_every_setting_has_a_label_and_numbers_have_limits(kind):
    for field, known in shown_fields(kind):
        assert known.label
        assert known.help, field.name
        if field.type in (int, float):
            assert (known.lowest if known.minimum is None else known.minimum) is not None, field.name
            assert (known.highest if known.maximum is None else known.maximum) is not None, field.name


def test_no_two_fields_write_the_same_key():
    keys = [known.infotext for _, known in shown_fields(EditRequest) if known.infotext]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({}, (512, 768)),
        ({"enable_hr": True}, (1024, 1536)),
        ({"enable_hr": True, "hr_scale": 1.3}, (665, 998)),
        ({"enable_hr": True, "hr_resize_x": 1000}, (1000, 1500)),
        ({"enable_hr": True, "hr_resize_y": 1000}, (666, 1000)),
        ({"enable_hr": True, "hr_resize_x": 640, "hr_resize_y": 648}, (640, 648)),
    ],
)
def test_the_size_of_the_second_pass(values, size):
    assert ImageRequest(width=512, height=768, **values).hires_size == size


def test_a_second_pass_counts_towards_the_ceiling():
    large = {"width": 2048, "height": 2048, "steps": 150, "batch_size": 8}
    ImageRequest(**large).checked()
    (problem,) = complaint(**large, enable_hr=True, hr_scale=1.0)
    assert problem.field == "batch_count"
    (problem,) = complaint(width=2048, height=2048, steps=1, enable_hr=True, hr_scale=4)
    assert (problem.field, "8192x8192" in problem.message) == ("hr_scale", True)


def test_each_picture_has_its_texts():
    plain = ImageRequest(prompt="a", negative_prompt="n")
    assert [plain.prompt_of(3), plain.negative_of(3), plain.hires_prompt_of(3)] == ["a", "n", "a"]
    resolved = ImageRequest(
        prompt="{a|b}",
        prompts=("a", "b"),
        negative_prompts=("x", "y"),
        hr_prompt="h",
        hr_negative_prompt="",
        batch_size=2,
    )
    assert [resolved.prompt_of(1), resolved.negative_of(1)] == ["b", "y"]
    assert [resolved.hires_prompt_of(1), resolved.hires_negative_of(1)] == ["h", "y"]
    assert ImageRequest(prompts=("a",), hr_prompts=("c",)).hires_prompt_of(0) == "c"
    (problem,) = complaint(prompts=("a",), batch_size=2)
    assert problem.message == "There are 1 texts for 2 pictures; there must be one for each."


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({}, "init_images", "no picture to start from"),
        ({"init_images": ("a", "b"), "batch_size": 3}, "init_images", "2 pictures for a batch of 3"),
        ({"init_images": ("a",), "outpaint": (0, 0, 0, 5000)}, "outpaint", "between 0 and 1024"),
        ({"init_images": ("a",), "outpaint": (0, 0)}, "outpaint", "four sides"),
        ({"init_images": ("a",), "background": "red"}, "background", "like #ffffff"),
        ({"init_images": ("a",), "denoising_strength": 7}, "denoising_strength", "between 0 and 1"),
        ({"init_images": ("a",), "resize_mode": "Shrink"}, "resize_mode", "must be one of Just resize"),
    ],
)
def test_an_edit_needs_its_pictures(values, field, sentence):
    (problem,) = complaint(EditRequest, **values)
    assert problem.field == field
    assert sentence in problem.message


def test_an_edit_names_the_pictures_it_works_on():
    assert EditRequest(init_images=("a", "b"), mask="m", batch_size=2).checked().inputs == ("a", "b", "m")
    assert ImageRequest().inputs == ()
    assert EditRequest(init_images=("a",)).denoising_strength == 0.75
    assert ImageRequest().denoising_strength == 0.7


def test_other_requests_say_what_is_missing():
    assert complaint(UpscaleRequest)[0].field == "pictures"
    assert UpscaleRequest(pictures=("a", "b")).checked().images == 2
    assert complaint(InterrogateRequest)[0].field == "picture"
    assert InterrogateRequest(picture="p").checked().inputs == ("p",)
    assert complaint(MergeRequest, model_a="a")[0].field == "model_b"
    assert complaint(MergeRequest, model_a="a", model_b="b", method="Add difference")[0].field == "model_c"
    merge = MergeRequest(model_a="a", method="No interpolation").checked()
    assert (merge.model, merge.images, merge.inputs) == ("a", 0, ())


def test_the_short_hash_is_ten_digits():
    record = ModelRecord(name="a", path="/a", title="a", size=1, modified=1, sha256="0123456789abcdef")
    assert record.short_hash == "0123456789"
