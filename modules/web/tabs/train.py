"""Teach a model a subject; painted by scripts that come when the tab is first opened, see `assets/train/`."""

from typing import Any

import gradio as gr

from modules.core.extension_points import Tab, hookimpl
from modules.web.widgets.instant import element


def build(studio: Any) -> None:
    """One element; everything in it is asked for over HTTP (`/api/v1/training`)."""
    with gr.Column():
        element("<at-train></at-train>", elem_id="train_tab")


@hookimpl
def register_tabs() -> list[Tab]:
    """Between what is made of pictures and what waits."""
    return [Tab(name="Train", id="train", build=build, order=50)]
