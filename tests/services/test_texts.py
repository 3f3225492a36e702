"""A request's texts in the end."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.core.errors import InvalidRequest
from modules.core.image_fields import LONGEST_PROMPT
from modules.core.requests import EditRequest, ImageRequest
from modules.prompts.styles import Style
from modules.services.styles import Styles
from modules.services.texts import notes, resolved
from modules.services.wildcards import Wildcards


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "wildcards" / "colours").mkdir(parents=True)
    (folder / "wildcards" / "colours" / "warm.txt").write_text("red\norange\npink\nyellow\n")
    (folder / "wildcards" / "long.txt").write_text("x" * LONGEST_PROMPT)
    return folder


@pytest.fixture(scope="module")
def styles(data):
    kept = Styles(data / "styles.csv")
    kept.save(Style("ink", "ink drawing of {prompt}", "colour"))
    kept.save(Style("sharp", "sharp", ""))
    kept.save(Style("warm", "__colours/warm__ light", ""))
    return kept


@pytest.fixture(scope="module")
def wildcards(data):
    return Wildcards(data / "wildcards")


@pytest.fixture(scope="module")
def resolve(styles, wildcards):
    def resolve(strip_comments=True, **fields):
        request = ImageRequest(**{"seed": 7} | fields)
        return resolved(request, styles, wildcards, strip_comments)

    return resolve


def test_a_plain_request_stays_as_it_is(resolve):
    request = ImageRequest(prompt="a (cat:1.2) [b|c] <lora:x:1>", negative_prompt="bad", seed=7, batch_size=3)
    assert resolve(prompt=request.prompt, negative_prompt="bad", batch_size=3) == request


def test_styles_then_comments(resolve):
    found = resolve(prompt="a cat # mine", negative_prompt="bad", styles=("sharp", "ink"))
    assert (found.prompt, found.negative_prompt, found.styles) == ("ink drawing of a cat ", "bad, colour", ())
    kept = resolve(strip_comments=False, prompt="a cat # mine", styles=("sharp",))
    assert kept.prompt == "a cat # mine, sharp"


def test_an_unknown_style_is_refused(resolve):
    with pytest.raises(InvalidRequest, match="did you mean 'ink'"):
        resolve(prompt="a cat", styles=("Inc",))


def test_each_picture_draws_with_its_seed(resolve):
    found = resolve(prompt="a {red|green|blue} cat", batch_size=4, batch_count=2)
    alone = [resolve(prompt="a {red|green|blue} cat", seed=7 + index) for index in range(8)]
    assert [found.prompt_of(index) for index in range(8)] == [one.prompt for one in alone]
    assert len(set(found.prompts)) > 1
    assert found.prompt == found.prompts[0]
    assert found.template == "a {red|green|blue} cat"
    assert all(one.prompts == () and one.template == found.template for one in alone)
    assert found.negative_template == ""


def test_each_picture_draws_its_own_with_a_variation_strength_too(resolve):
    plain = resolve(prompt="{a|b|c|d}", batch_size=4)
    varied = resolve(prompt="{a|b|c|d}", batch_size=4, subseed=3, subseed_strength=0.5)
    assert varied.prompts == plain.prompts


def test_all_four_texts_are_resolved_alike(resolve):
    text = "a {red|green|blue} __colours/warm__ cat"
    found = resolve(
        prompt=text, negative_prompt=text, hr_prompt=text, hr_negative_prompt=text, enable_hr=True, batch_size=4
    )
    assert found.prompts == found.negative_prompts == found.hr_prompts == found.hr_negative_prompts
    assert found.template == found.negative_template == text
    assert len(found.prompts) == 4


def test_the_second_pass_says_the_same_unless_told_otherwise(resolve):
    found = resolve(prompt="{a|b}", batch_size=4, enable_hr=True, styles=("ink",), negative_prompt="bad")
    assert (found.hr_prompt, found.hr_prompts) == ("", ())
    assert [found.hires_prompt_of(index) for index in range(4)] == list(found.prompts)
    told = resolve(prompt="a", hr_prompt="b#c", hr_negative_prompt="d", enable_hr=True, styles=("ink",))
    assert (told.hr_prompt, told.hr_negative_prompt) == ("ink drawing of b", "d, colour")


def test_a_second_prompt_that_draws_nothing_is_empty_and_not_the_first(resolve):
    found = resolve(prompt="a cat", hr_prompt="{0$$a|b}", enable_hr=True, batch_size=2)
    assert [found.hires_prompt_of(index) for index in range(2)] == ["", ""]


def test_a_second_prompt_of_comments_is_none(resolve):
    assert resolve(prompt="a cat", hr_prompt="# later", enable_hr=True).hires_prompt_of(0) == "a cat"


def test_wildcards_in_styles_are_drawn(resolve):
    found = resolve(prompt="a cat", styles=("warm",))
    assert found.prompt in {f"a cat, {colour} light" for colour in ("red", "orange", "pink", "yellow")}
    assert found.template == "a cat, __colours/warm__ light"


def test_pictures_that_draw_the_same_need_no_list_of_texts(resolve):
    found = resolve(prompt="{a|a} cat", batch_size=3)
    assert (found.prompt, found.prompts, found.template) == ("a cat", (), "{a|a} cat")


def test_an_unknown_wildcard_stays_and_is_noted(resolve):
    found = resolve(prompt="a __nobody__ cat __colours/warm__", negative_prompt="__nobody__", batch_size=2)
    assert "__nobody__" in found.prompt
    assert notes(found) == (
        "There is no wildcard 'nobody' (no lines in wildcards/nobody.txt), or it is too deep inside others; "
        "__nobody__ stands in the prompt as it was written.",
    )
    assert notes(resolve(prompt="a cat")) == ()
    unchanged = resolve(prompt="a __nobody__ cat")
    assert (unchanged.template, unchanged.prompts) == ("", ())


def test_what_an_extension_resolved_stays(resolve):
    found = resolve(prompt="{a|b}", prompts=("x {c|d}", "y"), batch_size=2, negative_prompt="#c")
    assert (found.prompt, found.prompts, found.template) == ("{a|b}", ("x {c|d}", "y"), "")
    assert found.negative_prompt == ""


def test_a_text_that_became_too_long_is_refused(resolve):
    with pytest.raises(InvalidRequest) as caught:
        resolve(prompt="a", negative_prompt="a __long__")
    assert [problem.field for problem in caught.value.problems] == ["negative_prompt"]
    assert "20,002 characters" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"prompt": " AND ".join(["a"] * 65)}, "65 parts"),
        ({"prompt": "a", "hr_prompt": " AND ".join(["a"] * 1000)}, "1,000 parts"),
        ({"prompt": "BREAK " * 101}, "BREAK 101 times"),
        ({"prompt": "a", "negative_prompt": "BREAK " * 101}, "BREAK 101 times"),
    ],
)
def test_a_text_that_would_take_for_ever_is_refused(resolve, fields, says):
    with pytest.raises(InvalidRequest, match=says) as caught:
        resolve(**fields)
    assert [problem.field for problem in caught.value.problems] == [list(fields)[-1]]


def test_many_words_of_the_same_kind_are_fine(resolve):
    resolve(prompt=" AND ".join(["a"] * 64), negative_prompt="a AND " * 500)
    resolve(prompt="a BREAK " * 100)


def test_other_kinds_of_requests_stay_what_they_are(styles, wildcards):
    request = EditRequest(prompt="{a|b}", seed=1, init_images=("x",), denoising_strength=0.3)
    found = resolved(request, styles, wildcards)
    assert isinstance(found, EditRequest)
    assert found == replace(request, prompt=found.prompt, template="{a|b}")


def test_a_seed_must_be_there(resolve):
    with pytest.raises(AssertionError):
        resolve(prompt="a", seed=-1)


@settings(max_examples=80, deadline=None)
@given(
    prompt=st.text(st.sampled_from("{}|[]_#$1:ab \n"), max_size=30),
    hr_prompt=st.text(st.sampled_from("{}|_#ab"), max_size=20),
    pictures=st.integers(1, 3),
    seed=st.integers(0, 2**40),
)
def test_resolving_again_changes_nothing_and_the_result_can_be_queued(
    styles, wildcards, prompt, hr_prompt, pictures, seed
):
    request = ImageRequest(prompt=prompt, hr_prompt=hr_prompt, seed=seed, batch_size=pictures, enable_hr=True)
    once = resolved(request, styles, wildcards)
    assert resolved(once, styles, wildcards) == once
    assert once.checked()
