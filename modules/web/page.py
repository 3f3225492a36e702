"""The page: a header with the model and the engine's state, and the tabs that plugins registered.

Gradio draws the form; what moves by itself (progress, preview, pictures, queue) is painted by the script in `assets/`,
which follows a job over our own HTTP routes. So it finds its way back after a reload or a restart of the server.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gradio as gr

from modules.core.extension_points import Tab
from modules.web.theme import colour_variables, theme
from modules.web.widgets.instant import element
from modules.web.widgets.model_choice import model_choice

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = (
    "atelier",
    "looks",
    "form",
    "sections",
    "jobs",
    "progress",
    "viewer",
    "status",
    "lists",
    "canvas_sheet",
    "canvas_store",
    "canvas_view",
    "canvas_tools",
    "canvas_hand",
    "edit",
    "edit_send",
    "png_info",
    "extras",
    "models",
    "models_card",
    "models_make",
    "keys",
    "train",
)
# Parts that are fetched when their tab is first opened: their scripts in the order they are put together.
LATER = {
    "train": (
        "plan",
        "parts",
        "pictures",
        "captions",
        "fields",
        "prior",
        "start",
        "chart",
        "run",
        "result",
        "runs",
        "tab",
    ),
}
STYLES = ("page", "sections", "edit", "models", "extras")


def build_page(studio: Any, tabs: Iterable[Tab]) -> gr.Blocks:
    """The page. `studio` is `services.studio.Studio`; tabs are placed by their `order`."""
    with gr.Blocks(title="Atelier", analytics_enabled=False, fill_width=True) as page:
        with gr.Row(elem_id="at_header"):
            model_choice(studio)
            element("<at-status></at-status>", elem_id="at_status")
        with gr.Tabs(elem_id="tabs"):
            for tab in sorted(tabs, key=lambda one: one.order):
                with gr.Tab(tab.name, id=tab.id, elem_id=f"tab_{tab.id}"):
                    tab.build(studio)
        element("<at-announcer></at-announcer><at-shortcuts></at-shortcuts>", elem_id="at_notices")
    return page


def mount_options() -> dict[str, Any]:
    """Arguments for `gr.mount_gradio_app` beside the page itself: our looks, our script, none of Gradio's extras."""
    return {
        "theme": theme(),
        "head": page_head(),
        "favicon_path": str(ASSETS / "icon.png"),
        "footer_links": [],
        "run_history": False,
        "show_error": False,
        "ssr_mode": False,
        "pwa": False,
    }


def page_head() -> str:
    """Style sheet and script, inline: they are small, and nothing of the page is drawn before they are there."""
    style = colour_variables() + "".join((ASSETS / f"{name}.css").read_text("utf-8") for name in STYLES)
    script = "".join((ASSETS / f"{name}.js").read_text("utf-8") for name in SCRIPTS)
    return f"<style>{style}</style><script>(() => {{'use strict';{script}}})();</script>"


def later_script(name: str) -> str:
    """A part's scripts as one; they share what `atelier.shared` holds. Raises KeyError for a part that is none."""
    return f"(() => {{'use strict';{''.join((ASSETS / name / f'{one}.js').read_text('utf-8') for one in LATER[name])}}})();"


def later_style(name: str) -> str:
    """A part's looks."""
    return "".join(one.read_text("utf-8") for one in sorted((ASSETS / name).glob("*.css")))
