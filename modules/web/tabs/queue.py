"""What waits, what runs and what is done; painted by the page's script, see `assets/lists.js`."""

from typing import Any

import gradio as gr

from modules.core.extension_points import Tab, hookimpl
from modules.web.widgets.instant import element


def build(studio: Any) -> None:
    """One element; it asks the server only while it can be seen."""
    with gr.Column(elem_classes="at-page"):
        element("<at-jobs></at-jobs>", elem_id="queue_jobs")


@hookimpl
def register_tabs() -> list[Tab]:
    """After the tabs that make something."""
    return [Tab(name="Queue", id="queue", build=build, order=60)]
