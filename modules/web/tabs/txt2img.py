"""The tab that makes pictures from text."""

from typing import Any

import gradio as gr

from modules.core.extension_points import Tab, hookimpl
from modules.core.requests import ImageRequest
from modules.web.widgets import generating, sections
from modules.web.widgets.choices import keep_fresh
from modules.web.widgets.form import Form
from modules.web.widgets.instant import element

ID = "txt2img"


def build(studio: Any) -> None:
    """Place everything; called once, in the tab's context."""
    form = Form(ID, studio.desk.defaults)
    with gr.Column(elem_id="txt2img_layout", elem_classes="at-studio"):
        generating.prompts(form)
        buttons = generating.actions(ID)
        sections.tools(studio, form, buttons.tools)
        with gr.Column(elem_id="txt2img_settings"):
            _controls(studio, form)
        with gr.Column(elem_id="txt2img_results"):
            element(f'<at-viewer form="{ID}"></at-viewer>', elem_id="txt2img_gallery")
    element(form.describe(), elem_id="txt2img_form")
    _connect(studio, form, buttons)
    form.in_page()
    keep_fresh(studio, form)


def _controls(studio: Any, form: Form) -> None:
    generating.sampling(studio, form)
    with gr.Accordion("Size and number", elem_id="txt2img_size_section", elem_classes="at-section"):
        generating.size(form)
        generating.number(form)
    with gr.Accordion("Seed", elem_id="txt2img_seed_section", elem_classes="at-section"):
        generating.seed(form)
        sections.variation(studio, form)
    sections.hires(studio, form)
    sections.refiner(studio, form)
    sections.advanced(studio, form)


def _connect(studio: Any, form: Form, buttons: generating.Buttons) -> None:
    def submit(request: ImageRequest, visitor: gr.Request) -> str:
        return generating.accepted(studio.desk.submit(request, owner=visitor.username or ""))

    sent = form.on(
        buttons.generate.click,
        submit,
        generating.refused,
        outputs=buttons.ticket,
        js=f"(...values) => atelier.jobs.sending('{ID}', values)",
    )
    generating.answered(form, buttons, sent)
    generating.connect(studio, form, buttons)


@hookimpl
def register_tabs() -> list[Tab]:
    """The first tab."""
    return [Tab(name="txt2img", id=ID, build=build, order=10)]
