"""A request's values are checked field by field, and every complaint is a sentence that names the value."""

import pytest

from modules.core.errors import InvalidRequest
from modules.core.fields import shown_fields
from modules.core.image_fields import LONGEST_PROMPT
from modules.core.requests import ImageRequest, ModelRecord


def complaint(**values):
    with pytest.raises(InvalidRequest) as caught:
        ImageRequest(**values).checked()
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


def test_every_setting_has_a_label_and_numbers_have_a_slider():
    for field, known in shown_fields(ImageRequest):
        assert known.label
        assert known.help, field.name
        if field.type in (int, float) and field.name != "seed":
            assert known.minimum is not None
            assert known.maximum is not None
            assert known.step is not None


def test_the_short_hash_is_ten_digits():
    record = ModelRecord(name="a", path="/a", title="a", size=1, modified=1, sha256="0123456789abcdef")
    assert record.short_hash == "0123456789"
