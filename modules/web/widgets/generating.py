"""What the tabs that make pictures have in common: the buttons, the way of a request to the desk, sampling and seed.

Generate hands a request to the desk and returns the job's id at once; the page's script follows the job by itself (see
`assets/jobs.js`), so a reload, a second tab or a restart of the server loses nothing.
"""

import json
from dataclasses import dataclass
from typing import Any

import gradio as gr

from modules.core.errors import AtelierError, InvalidRequest
from modules.web.widgets import reading
from modules.web.widgets.choices import offered
from modules.web.widgets.form import Form
from modules.web.widgets.instant import INSTANT, element


@dataclass(frozen=True, kw_only=True)
class Buttons:
    """A tab's buttons, and the hidden line through which Python and the page's script hand each other text."""

    generate: gr.Button
    skip: gr.Button
    interrupt: gr.Button
    paste: gr.Button
    clear: gr.Button
    ticket: gr.Textbox
    tools: gr.Row  # for more buttons


def prompts(form: Form) -> None:
    """The two texts, at the top."""
    with gr.Column(elem_id=f"{form.prefix}_toprow"):
        form.add("prompt", lines=3, max_lines=12, placeholder="What to draw")
        form.add("negative_prompt", lines=2, max_lines=8, placeholder="What to stay away from")


def actions(id: str) -> Buttons:
    """Generate, the line of progress, and what stops a job."""
    with gr.Column(elem_id=f"{id}_actions_column"):
        generate = gr.Button("Generate", variant="primary", elem_id=f"{id}_generate")
        element(f'<at-progress form="{id}"></at-progress>', elem_id=f"{id}_progress")
        with gr.Row(elem_id=f"{id}_stop"):
            skip = gr.Button("Skip", elem_id=f"{id}_skip", min_width=0)
            interrupt = gr.Button("Interrupt", elem_id=f"{id}_interrupt", min_width=0)
    with gr.Row(elem_id=f"{id}_tools") as tools:
        paste = gr.Button("Read settings", elem_id=f"{id}_paste", min_width=0)
        clear = gr.Button("Clear prompts", elem_id=f"{id}_clear_prompt", min_width=0)
    ticket = gr.Textbox(visible="hidden", elem_id=f"{id}_ticket", label="Answer of the server")
    return Buttons(
        generate=generate, skip=skip, interrupt=interrupt, paste=paste, clear=clear, ticket=ticket, tools=tools
    )


def sampling(studio: Any, form: Form) -> None:
    """Sampler, schedule, steps, guidance."""
    lists = form.lists()
    with gr.Accordion("Sampling", elem_id=f"{form.prefix}_sampling_section", elem_classes="at-section"):
        with gr.Row():
            for name in ("sampler", "schedule"):
                form.add(name, offered(studio, name, lists[name]), min_width=120)
        with gr.Row():
            form.add("steps", min_width=120)
            form.add("cfg_scale", min_width=120)


def size(form: Form) -> None:
    """Width and height, a button that swaps them, and common shapes."""
    with gr.Row(elem_classes="at-size"):
        form.add("width", min_width=100)
        swap = gr.Button("Swap width and height", elem_id=f"{form.prefix}_res_switch_btn", **_icon())
        form.add("height", min_width=100)
    element(f'<at-ratios form="{form.prefix}"></at-ratios>')
    in_script(swap, f"atelier.forms.swapSize('{form.prefix}')")


def number(form: Form) -> None:
    """How many."""
    with gr.Row():
        form.add("batch_count", min_width=120)
        form.add("batch_size", min_width=120)


def seed(form: Form) -> None:
    """The seed, a button for a random one and one for that of the picture shown."""
    with gr.Row(elem_classes="at-seed"):
        form.add("seed", min_width=120)
        fresh = gr.Button("Random seed", elem_id=f"{form.prefix}_random_seed", **_icon())
        again = gr.Button("Seed of the picture", elem_id=f"{form.prefix}_reuse_seed", **_icon())
    in_script(fresh, f"atelier.forms.randomSeed('{form.prefix}')")
    in_script(again, f"atelier.forms.reuseSeed('{form.prefix}')")


def connect(studio: Any, form: Form, buttons: Buttons) -> None:
    """The buttons that are answered by the page's script alone, and reading a picture's text.

    The hidden one receives what another tab sends: seed and size only if the settings say so.
    """
    in_script(buttons.skip, "atelier.jobs.skip()")
    in_script(buttons.interrupt, "atelier.jobs.interrupt()")
    in_script(buttons.clear, f"atelier.forms.clear('{form.prefix}')")
    receive = gr.Button(visible="hidden", elem_id=f"{form.prefix}_receive")
    reading.connect(studio, form, buttons.ticket, {buttons.paste: frozenset, receive: lambda: _not_sent(studio)})


def answered(form: Form, buttons: Buttons, sent: Any) -> None:
    """Tell the page's script what came of `sent`, the event that submits."""
    sent.success(fn=None, inputs=buttons.ticket, js=f"ticket => atelier.jobs.sent('{form.prefix}', ticket)", **INSTANT)
    sent.failure(fn=None, js=f"() => atelier.jobs.notSent('{form.prefix}')", **INSTANT)


def accepted(job: Any) -> str:
    """The ticket of a queued job."""
    return json.dumps({"job": job.id})


def refused(error: AtelierError) -> str:
    """Why nothing was queued, by field, for the page's script to put below the controls."""
    problems = error.problems if isinstance(error, InvalidRequest) else ()
    return json.dumps({"sentence": str(error), "fields": {one.field: one.message for one in problems}})


def _not_sent(studio: Any) -> set[str]:
    wanted = {"send_seed": ("seed", "subseed"), "send_size": ("width", "height")}
    return {field for name, fields in wanted.items() if not studio.settings.get(name) for field in fields}


def in_script(button: gr.Button, call: str) -> None:
    """Answer a button in the browser alone."""
    button.click(fn=None, js=f"() => {call}", **INSTANT)


def _icon() -> dict[str, Any]:
    return {"elem_classes": "at-icon", "scale": 0, "min_width": 44}
