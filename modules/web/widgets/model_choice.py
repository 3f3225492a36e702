"""The model list at the top of the page: choose, refresh, and say why a model cannot be used."""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from modules.core.errors import AtelierError
from modules.core.requests import ModelRecord
from modules.web.widgets.instant import INSTANT, element, page_in_making

SETTING = "sd_model_checkpoint"


def model_choice(studio: Any) -> None:
    """Build it. The page's script is told about the chosen model through the `at-model` element."""
    models, chosen = studio.library.models(), current(studio)
    choice = gr.Dropdown(
        choices=_choices(models),
        value=chosen.name if chosen else None,
        label="Model",
        elem_id="setting_sd_model_checkpoint",
        scale=0,
        min_width=280,
    )
    refresh = gr.Button(
        "Look for models again", elem_id="refresh_sd_model_checkpoint", elem_classes="at-icon", scale=0, min_width=44
    )
    element("<at-model-note></at-model-note>", elem_id="at_model_note")
    note = element(describe(chosen), elem_id="at_model")

    def choose(name: str) -> str:
        record = next((one for one in studio.library.models() if one.name == name), None)
        if record is None:
            return describe(record)
        try:
            studio.settings.set({SETTING: record.title})
        except AtelierError as error:
            return describe(record, str(error))
        return describe(record)

    def look_again() -> tuple[Any, str]:
        studio.library.refresh()
        return shown()

    def shown() -> tuple[Any, str]:
        records, now = studio.library.models(), current(studio)
        value = now.name if now else None
        return gr.update(choices=_choices(records), value=value), describe(now)

    choice.input(choose, choice, note, preprocess=False, **INSTANT)
    refresh.click(look_again, None, [choice, note], **INSTANT)
    page_in_making().load(shown, None, [choice, note], **INSTANT)


def current(studio: Any) -> ModelRecord | None:
    """The model that would draw now, or None when there is none."""
    try:
        return studio.desk.current_model()
    except AtelierError:
        return None


def describe(record: ModelRecord | None, problem: str = "") -> str:
    """The element that tells the page's script what is chosen, its size and what is wrong with it."""
    if record is None:
        sentence = "There is no model. Put a .safetensors file into models/Stable-diffusion and look again."
        return f'<at-model problem="{escape(problem or sentence)}"></at-model>'
    known = {"name": record.name, "width": record.width, "height": record.height}
    return f'<at-model model="{escape(json.dumps(known))}" problem="{escape(problem or record.problem)}"></at-model>'


def _choices(models: Sequence[ModelRecord]) -> list[tuple[str, str]]:
    return [(f"{one.title} (cannot be used)" if one.problem else one.title, one.name) for one in models]
