"""How the page's events run and how its own elements are placed."""

from typing import Any

import gradio as gr
from gradio.context import Context

# At once, outside Gradio's queue, and without its spinner over the component.
INSTANT: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def page_in_making() -> gr.Blocks:
    """The page that components are being placed on; for events of the page itself, such as its load."""
    page = Context.root_block
    if page is None:
        raise RuntimeError("a tab is built inside `with gr.Blocks()`")
    return page


def element(markup: str, elem_id: str | None = None, **look: Any) -> gr.HTML:
    """An element of the page's script (`<at-viewer>`), without Gradio's typography over it and without a click event."""
    return gr.HTML(markup, elem_id=elem_id, apply_default_css=False, js_on_load=None, **look)
