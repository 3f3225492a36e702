"""Model files: cards, merging, downloads; painted by the page's script, see `assets/models.js`."""

from typing import Any

import gradio as gr

from modules.core.extension_points import Tab, hookimpl
from modules.web.widgets.instant import element


def build(studio: Any) -> None:
    """One element; it asks the server when it is seen."""
    with gr.Column():
        element("<at-models></at-models>", elem_id="models_tab")


@hookimpl
def register_tabs() -> list[Tab]:
    """After the queue."""
    return [Tab(name="Models", id="models", build=build, order=70)]
