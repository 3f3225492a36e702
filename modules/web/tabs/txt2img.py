"""The tab that makes pictures from text.

Generate hands an ImageRequest to the desk and returns the job's id at once; the page's script follows the job by
itself (see `assets/jobs.js`), so a reload, a second tab or a restart of the server loses nothing.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from modules.core.errors import AtelierError, InvalidRequest
from modules.core.events import Choice
from modules.core.extension_points import Tab, hookimpl
from modules.core.requests import ImageRequest
from modules.web.widgets.form import Form
from modules.web.widgets.instant import INSTANT, element, page_in_making
from modules.web.widgets.order import SAMPLERS, SCHEDULES, in_order

ID = "txt2img"


@dataclass(frozen=True, kw_only=True)
class Buttons:
    """The tab's buttons, and the hidden line through which Python and the page's script hand each other text."""

    generate: gr.Button
    skip: gr.Button
    interrupt: gr.Button
    paste: gr.Button
    clear: gr.Button
    ticket: gr.Textbox


def build(studio: Any) -> None:
    """Place everything; called once, in the tab's context."""
    form = Form(ID, studio.desk.defaults)
    with gr.Column(elem_id="txt2img_layout", elem_classes="at-studio"):
        with gr.Column(elem_id="txt2img_toprow"):
            form.add("prompt", lines=3, max_lines=12, placeholder="What to draw")
            form.add("negative_prompt", lines=2, max_lines=8, placeholder="What to stay away from")
        buttons = _actions()
        with gr.Column(elem_id="txt2img_settings"):
            _controls(studio, form)
        with gr.Column(elem_id="txt2img_results"):
            element(f'<at-viewer form="{ID}"></at-viewer>', elem_id="txt2img_gallery")
    element(form.describe(), elem_id="txt2img_form")
    _connect(studio, form, buttons)
    form.in_page()
    _keep_choices_fresh(studio, form)


def _actions() -> Buttons:
    with gr.Column(elem_id="txt2img_actions_column"):
        generate = gr.Button("Generate", variant="primary", elem_id="txt2img_generate")
        element(f'<at-progress form="{ID}"></at-progress>', elem_id="txt2img_progress")
        with gr.Row(elem_id="txt2img_stop"):
            skip = gr.Button("Skip", elem_id="txt2img_skip", min_width=0)
            interrupt = gr.Button("Interrupt", elem_id="txt2img_interrupt", min_width=0)
    with gr.Row(elem_id="txt2img_tools"):
        paste = gr.Button("Read settings", elem_id="txt2img_paste", min_width=0)
        clear = gr.Button("Clear prompts", elem_id="txt2img_clear_prompt", min_width=0)
    ticket = gr.Textbox(visible="hidden", elem_id="txt2img_ticket", label="Answer of the server")
    return Buttons(generate=generate, skip=skip, interrupt=interrupt, paste=paste, clear=clear, ticket=ticket)


def _controls(studio: Any, form: Form) -> None:
    known = studio.catalogue.now()
    with gr.Accordion("Sampling", elem_id="txt2img_sampling_section", elem_classes="at-section"):
        with gr.Row():
            form.add("sampler", _names(known.samplers, SAMPLERS), min_width=120)
            form.add("schedule", _names(known.schedules, SCHEDULES), min_width=120)
        with gr.Row():
            form.add("steps", min_width=120)
            form.add("cfg_scale", min_width=120)
    with gr.Accordion("Size and number", elem_id="txt2img_size_section", elem_classes="at-section"):
        with gr.Row(elem_classes="at-size"):
            form.add("width", min_width=100)
            swap = gr.Button(
                "Swap width and height", elem_id="txt2img_res_switch_btn", elem_classes="at-icon", scale=0, min_width=44
            )
            form.add("height", min_width=100)
        element(f'<at-ratios form="{ID}"></at-ratios>')
        with gr.Row():
            form.add("batch_count", min_width=120)
            form.add("batch_size", min_width=120)
    with (
        gr.Accordion("Seed", elem_id="txt2img_seed_section", elem_classes="at-section"),
        gr.Row(elem_classes="at-seed"),
    ):
        form.add("seed", min_width=120)
        fresh = gr.Button("Random seed", elem_id="txt2img_random_seed", elem_classes="at-icon", scale=0, min_width=44)
        again = gr.Button(
            "Seed of the picture", elem_id="txt2img_reuse_seed", elem_classes="at-icon", scale=0, min_width=44
        )
    for button, script in ((swap, "swapSize"), (fresh, "randomSeed"), (again, "reuseSeed")):
        button.click(fn=None, js=f"() => atelier.forms.{script}('{ID}')", **INSTANT)


def _connect(studio: Any, form: Form, buttons: Buttons) -> None:
    def submit(request: ImageRequest, visitor: gr.Request) -> str:
        job = studio.desk.submit(request, owner=visitor.username or "")
        return json.dumps({"job": job.id})

    sent = form.on(
        buttons.generate.click,
        submit,
        _refusal,
        outputs=buttons.ticket,
        js="(...values) => atelier.jobs.sending(values)",
    )
    sent.success(fn=None, inputs=buttons.ticket, js="ticket => atelier.jobs.sent(ticket)", **INSTANT)
    sent.failure(fn=None, js="() => atelier.jobs.notSent()", **INSTANT)
    buttons.skip.click(fn=None, js="() => atelier.jobs.skip()", **INSTANT)
    buttons.interrupt.click(fn=None, js="() => atelier.jobs.interrupt()", **INSTANT)
    buttons.clear.click(fn=None, js=f"() => atelier.forms.clear('{ID}')", **INSTANT)
    form.paste_from(buttons.paste, buttons.ticket)


def _refusal(error: AtelierError) -> str:
    """Why nothing was queued, by field, for the page's script to put below the controls."""
    problems = error.problems if isinstance(error, InvalidRequest) else ()
    return json.dumps({"sentence": str(error), "fields": {one.field: one.message for one in problems}})


def _keep_choices_fresh(studio: Any, form: Form) -> None:
    """An engine may know more than when the page was built: at the very first start nothing was known yet."""

    def now() -> list[Any]:
        known = studio.catalogue.now()
        return [_update(_names(known.samplers, SAMPLERS)), _update(_names(known.schedules, SCHEDULES))]

    outputs = [form.components["sampler"], form.components["schedule"]]
    page_in_making().load(now, None, outputs, **INSTANT)
    refresh = gr.Button(visible="hidden", elem_id="txt2img_refresh_choices")
    refresh.click(now, None, outputs, **INSTANT)


def _names(choices: Iterable[Choice], order: tuple[str, ...]) -> list[str]:
    return in_order([one.name for one in choices], order)


def _update(names: list[str]) -> Any:
    return gr.update(choices=names) if names else gr.skip()


@hookimpl
def register_tabs() -> list[Tab]:
    """The first tab."""
    return [Tab(name="txt2img", id=ID, build=build, order=10)]
