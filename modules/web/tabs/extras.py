"""The tab that makes pictures larger: one or many, by one upscaler or a blend of two.

Pictures are sent to the server as soon as they are chosen, so that a reload loses none; Extras' Generate then sends
their ids with the form, and the results appear beside what they were made of (`assets/extras.js`).
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.core.errors import AtelierError, InvalidRequest, Problem
from modules.core.extension_points import Tab, hookimpl
from modules.core.requests import UpscaleRequest
from modules.services.request_defaults import defaults_from
from modules.web.widgets import generating
from modules.web.widgets.form import Form
from modules.web.widgets.instant import INSTANT, element

ID = "extras"
MOST_PICTURES = 500
LONGEST_NAME = 255
NO_FILES = (
    "Upscaler models make details that Lanczos cannot: put ESRGAN or Real-ESRGAN files (.safetensors, .pth) into "
    "models/ESRGAN or models/RealESRGAN."
)
NO_SPANDREL = (
    "SwinIR, DAT and other kinds than ESRGAN and Real-ESRGAN need the package spandrel, which is not installed: pip "
    "install spandrel torchvision, into the environment that Atelier runs in."
)


def build(studio: Any) -> None:
    """Place everything; called once, in the tab's context."""
    form = Form(ID, lambda: upscale_defaults(studio))
    with gr.Column(elem_id="extras_layout", elem_classes="at-studio"):
        with gr.Column(elem_id="extras_source"):
            element("<at-extras-pictures></at-extras-pictures>", elem_id="extras_image")
            element("<span></span>", elem_id="extras_problems")  # what is wrong with the pictures
        with gr.Column(elem_id="extras_actions_column"):
            generate = gr.Button("Generate", variant="primary", elem_id="extras_generate")
            element(f'<at-progress form="{ID}"></at-progress>', elem_id="extras_progress")
            with gr.Row(elem_id="extras_stop"):
                skip = gr.Button("Skip", elem_id="extras_skip", min_width=0)
                interrupt = gr.Button("Interrupt", elem_id="extras_interrupt", min_width=0)
        with gr.Column(elem_id="extras_settings"):
            _controls(studio, form)
        with gr.Column(elem_id="extras_results"):
            element("<at-extras-results></at-extras-results>", elem_id="extras_gallery")
    element(form.describe(), elem_id="extras_form")
    generating.in_script(generate, "atelier.extras.generate()")
    generating.in_script(skip, "atelier.jobs.skip()")
    generating.in_script(interrupt, "atelier.jobs.interrupt()")
    _connect(studio, form)
    form.in_page()


def upscale_defaults(studio: Any) -> UpscaleRequest:
    """What the settings suggest."""
    return UpscaleRequest(**defaults_from(studio.settings, UpscaleRequest))


def upscaler_names(studio: Any) -> list[str]:
    """None, Lanczos, Nearest and those of extensions, then the files that can be used."""
    plain = [one.name for one in studio.catalogue.now().upscalers]
    return [*plain, *(one.name for one in studio.shelf.files("upscaler") if not one.problem)]


def models_note(studio: Any) -> str:
    """Why there are no model upscalers, or fewer than there could be; "" when nothing is missing."""
    if not studio.shelf.files("upscaler"):
        return NO_FILES
    return "" if find_spec("spandrel") else NO_SPANDREL


def with_pictures(request: UpscaleRequest, text: str) -> UpscaleRequest:
    """The request with the pictures that the script sent as JSON. Raises InvalidRequest for what it would not send."""
    try:
        sent = json.loads(text or "[]")
        pairs = [(one["id"], one.get("name") or "") for one in sent]
    except (ValueError, TypeError, KeyError, AttributeError):
        pairs = [(None, "")]
    if len(pairs) > MOST_PICTURES:
        message = f"There are {len(pairs)} pictures; at most {MOST_PICTURES} can be made larger at a time."
        raise InvalidRequest(Problem(field="pictures", message=message))
    if not all(isinstance(id, str) and isinstance(name, str) for id, name in pairs):
        message = "The page sent no pictures with this; reload it and try again."
        raise InvalidRequest(Problem(field="pictures", message=message))
    return replace(
        request, pictures=tuple(id for id, _ in pairs), names=tuple(name[:LONGEST_NAME] for _, name in pairs)
    )


def _controls(studio: Any, form: Form) -> None:
    names = upscaler_names(studio)
    form.add("upscaler_1", names)
    with gr.Row():
        form.add("upscaler_2", names, min_width=120)
        form.add("upscaler_2_visibility", min_width=120)
    element("<at-extras-size></at-extras-size>", elem_id="extras_tabs_resize")
    form.add("by_size", visible="hidden")
    with gr.Column(elem_id="extras_by"):
        form.add("upscale_by")
    with gr.Column(elem_id="extras_to"):
        with gr.Row():
            form.add("upscale_w", min_width=100)
            form.add("upscale_h", min_width=100)
        form.add("crop")
    note = models_note(studio)
    if note:
        gr.Markdown(note, elem_id="extras_note", elem_classes="at-note")
    with gr.Accordion("More", open=False, elem_id="extras_more_section", elem_classes="at-section at-folded"), gr.Row():
        form.add("tile", min_width=100)
        form.add("tile_overlap", min_width=100)


def _connect(studio: Any, form: Form) -> None:
    ticket = gr.Textbox(visible="hidden", elem_id="extras_ticket", label="Answer of the server")
    task = gr.Textbox(visible="hidden", elem_id="extras_task", label="Pictures for the server")
    send = gr.Button(visible="hidden", elem_id="extras_send")

    def submit(values: Mapping[Component, Any], visitor: gr.Request) -> str:
        try:
            request = with_pictures(form.request(values), str(values[task] or ""))
            return generating.accepted(studio.desk.submit(request, owner=visitor.username or ""))
        except AtelierError as error:
            return generating.refused(error)

    sent = send.click(
        submit,
        inputs={*form.components.values(), task},  # a set is sorted by when its parts were made: the task is the last
        outputs=ticket,
        preprocess=False,
        js="(...values) => atelier.extras.sending(values)",
        **INSTANT,
    )
    sent.success(fn=None, inputs=ticket, js=f"ticket => atelier.jobs.sent('{ID}', ticket)", **INSTANT)
    sent.failure(fn=None, js=f"() => atelier.jobs.notSent('{ID}')", **INSTANT)
    _keep_choices_fresh(studio, form)


def _keep_choices_fresh(studio: Any, form: Form) -> None:
    """The script presses this when the tab is drawn: files may have come since the page was built."""

    def now() -> list[Any]:
        names = upscaler_names(studio)
        return [gr.update(choices=names) if names else gr.skip()] * 2

    refresh = gr.Button(visible="hidden", elem_id="extras_refresh_choices")
    refresh.click(now, None, [form.components["upscaler_1"], form.components["upscaler_2"]], **INSTANT)


@hookimpl
def register_tabs() -> list[Tab]:
    """Where the field has it."""
    return [Tab(name="Extras", id=ID, build=build, order=30)]
