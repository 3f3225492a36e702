"""Read settings: a picture's text into the form, with the offer of the model it was made with."""

import json
import time
from collections.abc import Callable, Collection, Mapping
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.web.widgets.choices import offered, readable_styles, with_held
from modules.web.widgets.form import Form
from modules.web.widgets.instant import INSTANT, element
from modules.web.widgets.model_choice import SETTING, current
from modules.web.widgets.pasting import Read, in_the_browser, named_here, read_text

Without = Callable[[], Collection[str]]


def connect(studio: Any, form: Form, text: Component, buttons: Mapping[gr.Button, Without]) -> None:
    """Fill the form when a button is pressed, from the text that the page's script supplies.

    `buttons`: with the names of the fields that stay as they are.
    """
    note = element("", elem_id=f"{form.prefix}_other_model")
    ask = f"() => atelier.forms.textToPaste('{form.prefix}')"
    for button, without in buttons.items():

        def pasted(text: str, without: Without = without) -> dict[Component, Any]:
            read = read_here(studio, form, text)
            return form.pasted(text, without(), lambda _: shown(studio, form, read)) | {
                note: other_model(studio, form.prefix, read)
            }

        button.click(pasted, text, [*form.components.values(), note], js=ask, **INSTANT)
    choose = gr.Button(visible="hidden", elem_id=f"{form.prefix}_choose_model")
    chosen = choose.click(
        lambda name: _choose(studio, name), text, js=f"() => atelier.forms.modelToChoose('{form.prefix}')", **INSTANT
    )
    chosen.success(fn=None, js="() => atelier.forms.modelChosen()", **INSTANT)


def read_here(studio: Any, form: Form, text: str) -> Read:
    """What the text says, in the names of this place."""
    read = read_text(text, form.kind, readable_styles(studio))
    return named_here(studio, read, form.kind) if "Steps" in read.parsed else read


def shown(studio: Any, form: Form, read: Read) -> dict[str, Any]:
    """Values for the components; a list gets what it does not have, so that it can show it."""
    values = in_the_browser(read.values)
    for name, known in form.lists().items():
        if name in values:
            choices = with_held(offered(studio, name, known), values[name])
            values[name] = gr.update(choices=choices, value=values[name])
    return values


def other_model(studio: Any, prefix: str, read: Read) -> str:
    """An element for the page's script when the text names another model than the chosen one."""
    named = str(read.parsed.get("Model") or read.parsed.get("Model hash") or "")
    here, now = read.values.get("model", ""), current(studio)
    if not named or "Steps" not in read.parsed or (now and here == now.title):
        return ""
    known = {"named": named, "here": here, "problem": read.problems.get("model")}
    told = f'form="{prefix}" turn="{time.monotonic_ns()}" model="{escape(json.dumps(known))}"'
    return f"<at-other-model {told}></at-other-model>"


def _choose(studio: Any, name: str) -> None:
    studio.settings.set({SETTING: studio.library.find(name).title})
