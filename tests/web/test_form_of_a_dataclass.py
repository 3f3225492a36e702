"""`widgets/form.py`: a dataclass as components, and back."""

from dataclasses import dataclass, replace

import gradio as gr
import pytest

from modules.core.errors import InvalidRequest
from modules.core.fields import shown
from modules.core.requests import ImageRequest
from modules.web.widgets.form import Form


@dataclass(frozen=True, kw_only=True)
class Wish:
    name: str = shown("x", "Name", help="What it is <called>.")
    kind: str = shown("b", "Kind", options=("a", "b"))
    sampler: str = shown("Euler", "Sampler", choices="samplers")
    size: int = shown(8, "Size", minimum=1, maximum=64, step=1)
    seed: int = shown(-1, "Seed", lowest=-1, highest=2**63 - 1)
    share: float = shown(0.5, "Share", minimum=0, maximum=1, step=0.1)
    weight: float = shown(1.0, "Weight")
    loud: bool = shown(False, "Loud")
    hidden: int = 3


@pytest.fixture
def form():
    with gr.Blocks():
        made = Form("wish", Wish)
        for name in ("name", "kind", "size", "seed", "share", "weight", "loud"):
            made.add(name)
        made.add("sampler", ["DDIM", "Euler"])
    return made


def values(form, **changes):
    start = {name: one.value for name, one in form.components.items()} | changes
    return {form.components[name]: value for name, value in start.items()}


def test_each_field_gets_the_component_of_its_kind(form):
    kinds = {name: type(one).__name__ for name, one in form.components.items()}
    assert kinds == {
        "name": "Textbox",
        "kind": "Dropdown",
        "sampler": "Dropdown",
        "size": "Slider",
        "seed": "Textbox",  # a browser's numbers cannot hold it
        "share": "Slider",
        "weight": "Number",
        "loud": "Checkbox",
    }


def test_label_range_and_id_come_from_the_field(form):
    size = form.components["size"]
    assert (size.label, size.minimum, size.maximum, size.step, size.value) == ("Size", 1, 64, 1, 8)
    assert size.elem_id == "wish_size"
    assert form.components["sampler"].elem_id == "wish_sampling"


def test_a_default_that_is_not_on_the_list_is_offered_all_the_same():
    with gr.Blocks():
        made = Form("wish", Wish).add("sampler", ["DDIM"])
    assert [choice for choice, _ in made.choices] == ["Euler", "DDIM"]


def test_the_untouched_form_is_the_default_request(form):
    assert form.request(values(form)) == Wish()


def test_values_become_the_fields_types(form):
    wish = form.request(values(form, size=12.0, seed=" 9223372036854775807 ", share=1, weight="2.5", name=None))
    assert wish == Wish(size=12, seed=2**63 - 1, share=1.0, weight=2.5, name="")
    assert isinstance(wish.size, int)
    assert isinstance(wish.share, float)


def test_fields_without_a_component_come_from_the_defaults_of_now():
    hidden = iter([1, 2, 3])
    with gr.Blocks():
        form = Form("wish", lambda: Wish(hidden=next(hidden)))
        form.add("size")
    assert [form.request(values(form)).hidden, form.request(values(form)).hidden] == [2, 3]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("size", None, "Size is empty; it must be a number."),
        ("size", 1.5, "Size is '1.5'; it must be a whole number."),
        ("size", "NaN", "Size is 'NaN'; it must be a whole number."),
        ("size", float("inf"), "Size is 'inf'; it must be a whole number."),
        ("size", [1], "Size is '[1]'; it must be a whole number."),
        ("seed", "many", "Seed is 'many'; it must be a whole number."),
        ("seed", "9" * 100, f"Seed is '{'9' * 40}'; it must be a whole number."),
        ("weight", "heavy", "Weight is 'heavy'; it must be a number."),
        ("weight", {}, "Weight is '{}'; it must be a number."),
    ],
)
def test_what_is_no_value_is_named_with_its_field(form, field, value, message):
    with pytest.raises(InvalidRequest) as caught:
        form.request(values(form, **{field: value}))
    assert [(one.field, one.message) for one in caught.value.problems] == [(field, message)]


def test_all_wrong_fields_are_named_at_once(form):
    with pytest.raises(InvalidRequest) as caught:
        form.request(values(form, size=None, weight="heavy"))
    assert {one.field for one in caught.value.problems} == {"size", "weight"}


def test_nan_gets_through_to_the_check_of_the_request_which_refuses_it():
    with gr.Blocks():
        form = Form("txt2img", ImageRequest)
        scale = form.add("cfg_scale")
    with pytest.raises(InvalidRequest, match="CFG Scale is nan; it must be a number"):
        form.request({scale: "NaN"}).checked()


def test_the_description_is_escaped(form):
    markup = form.describe()
    assert "<called>" not in markup
    assert "&lt;called&gt;" in markup
    assert "wish_sampling" in markup


def test_a_pasted_text_changes_only_what_it_holds():
    with gr.Blocks():
        form = Form("txt2img", lambda: replace(ImageRequest(), width=128, height=128))
        for name in (
            "prompt",
            "negative_prompt",
            "sampler",
            "steps",
            "width",
            "height",
            "seed",
            "cfg_scale",
            "batch_size",
        ):
            form.add(name)
    text = "a cat\nSteps: 12, Sampler: Euler, CFG scale: 6.5, Seed: 9223372036854775807, Size: 64x96, Batch size: 4"
    changed = {name: form.pasted(text)[one] for name, one in form.components.items()}
    assert changed.pop("batch_size") == gr.skip()
    assert changed == {
        "prompt": "a cat",
        "negative_prompt": "",
        "sampler": "Euler",
        "steps": 12,
        "width": 64,
        "height": 96,
        "seed": "9223372036854775807",
        "cfg_scale": 6.5,
    }


def test_a_text_without_settings_is_only_a_prompt():
    with gr.Blocks():
        form = Form("txt2img", ImageRequest)
        prompt, steps = form.add("prompt"), form.add("steps")
    changed = form.pasted("just words")
    assert changed[prompt] == "just words"
    assert changed[steps] == gr.skip()
