"""The tab that makes pictures from a picture: img2img, sketch, inpainting, outpainting, many at once.

The canvas is the page's own (`assets/canvas_*.js`). Generate first sends picture and mask to the server, which answers
their ids; then a hidden button submits the form together with those ids.
"""

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.core.errors import AtelierError
from modules.core.extension_points import Tab, hookimpl
from modules.core.requests import EditRequest
from modules.web.widgets import generating, sections
from modules.web.widgets.choices import keep_fresh
from modules.web.widgets.edits import described, with_task
from modules.web.widgets.form import Form
from modules.web.widgets.instant import INSTANT, element

ID = "img2img"
SOFT = ("soft_power", "soft_scale", "soft_detail")
ADVANCED = ("initial_noise_multiplier", "extra_noise", "inpainting_mask_weight", "image_cfg_scale")


def build(studio: Any) -> None:
    """Place everything; called once, in the tab's context."""
    form = Form(ID, lambda: studio.desk.defaults(kind=EditRequest))
    with gr.Column(elem_id="img2img_layout", elem_classes="at-studio"):
        generating.prompts(form)
        buttons = generating.actions(ID)
        sections.tools(studio, form, buttons.tools)
        with gr.Column(elem_id="img2img_picture"):
            element("<at-edit-modes></at-edit-modes>", elem_id="img2img_modes")
            element("<at-canvas></at-canvas>", elem_id="img2img_image")
            element("<at-batch></at-batch>", elem_id="img2img_batch")
            element("<span></span>", elem_id="img2img_problems")  # what is wrong with the picture
            form.add("denoising_strength")
        with gr.Column(elem_id="img2img_settings"):
            _controls(studio, form)
        with gr.Column(elem_id="img2img_results"):
            element(f'<at-viewer form="{ID}"></at-viewer>', elem_id="img2img_gallery")
    element(form.describe(), elem_id="img2img_form")
    _connect(studio, form, buttons)
    form.in_page()
    keep_fresh(studio, form)


def _controls(studio: Any, form: Form) -> None:
    _inpainting(form)
    generating.sampling(studio, form)
    with gr.Accordion("Size and number", elem_id="img2img_size_section", elem_classes="at-section"):
        form.add("resize_mode")
        element("<at-resize></at-resize>", elem_id="img2img_tabs_resize")
        with gr.Column(elem_id="img2img_column_size"):
            generating.size(form)
            exact = gr.Button("Size of the picture", size="sm", elem_id="img2img_detect_image_size_btn")
        generating.number(form)
    generating.in_script(exact, "atelier.edit.adoptSize(true)")
    with gr.Accordion("Seed", elem_id="img2img_seed_section", elem_classes="at-section"):
        generating.seed(form)
        sections.variation(studio, form)
    sections.refiner(studio, form)
    with sections.folded(form, "More", "more"):
        form.add("color_correction")
        form.add("exact_steps")
        for name in ADVANCED:
            form.add(name)
    sections.advanced(studio, form)


def _inpainting(form: Form) -> None:
    """Seen in the modes that have a mask."""
    with gr.Accordion("Inpainting", elem_id="img2img_inpaint_section", elem_classes="at-section at-only-masked"):
        element("<at-transparency></at-transparency>", elem_id="img2img_transparency")
        with gr.Row():
            form.add("mask_blur_x", min_width=180)
            form.add("inpaint_padding", min_width=180)
        with gr.Row():
            form.add("mask_mode", min_width=120)
            form.add("masked_content", min_width=120)
            form.add("inpaint_area", min_width=120)
        form.add("soft_inpainting")
        with gr.Row(elem_id="img2img_soft"):
            for name in SOFT:
                form.add(name, min_width=120)


def _connect(studio: Any, form: Form, buttons: generating.Buttons) -> None:
    task = gr.Textbox(visible="hidden", elem_id="img2img_task", label="Pictures for the server")
    send = gr.Button(visible="hidden", elem_id="img2img_send")
    with buttons.tools:
        copied = gr.Button("From txt2img", elem_id="img2img_copy_prompts", min_width=0)

    def submit(values: Mapping[Component, Any], visitor: gr.Request) -> str:
        try:
            request = with_task(form.request(values), str(values[task] or ""))
            return generating.accepted(studio.desk.submit(request, owner=visitor.username or ""))
        except AtelierError as error:
            return generating.refused(error)

    sent = send.click(
        submit,
        inputs={*form.components.values(), task},  # a set is sorted by when its parts were made: the task is the last
        outputs=buttons.ticket,
        preprocess=False,
        js="(...values) => atelier.edit.sending(values)",
        **INSTANT,
    )
    generating.in_script(buttons.generate, "atelier.edit.generate()")
    _describing(studio, buttons, task)
    generating.answered(form, buttons, sent)
    generating.connect(studio, form, buttons)
    generating.in_script(copied, "atelier.edit.copyPrompts()")


def _describing(studio: Any, buttons: generating.Buttons, task: gr.Textbox) -> None:
    """Words for the picture on the canvas: another job; the page's script puts its result into the prompt."""
    send = gr.Button(visible="hidden", elem_id="img2img_interrogate")

    def submit(text: str, visitor: gr.Request) -> str:
        try:
            return generating.accepted(studio.desk.submit(described(text), owner=visitor.username or ""))
        except AtelierError as error:
            return generating.refused(error)

    script = "text => atelier.edit.sending([text])[0]"
    sent = send.click(submit, task, buttons.ticket, preprocess=False, js=script, **INSTANT)
    sent.success(fn=None, inputs=buttons.ticket, js=f"ticket => atelier.jobs.sent('{ID}', ticket)", **INSTANT)
    sent.failure(fn=None, js=f"() => atelier.jobs.notSent('{ID}')", **INSTANT)


@hookimpl
def register_tabs() -> list[Tab]:
    """The second tab."""
    return [Tab(name="img2img", id=ID, build=build, order=20)]
