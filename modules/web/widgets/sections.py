"""Folded parts of the tabs that make pictures: variation, second pass, refiner, everything few people touch; kept styles.

A folded section says in its head what is set in it (`assets/sections.js`), so nothing works unseen.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from modules.web.widgets import kept_styles
from modules.web.widgets.choices import offered
from modules.web.widgets.form import Form
from modules.web.widgets.instant import INSTANT, element

ADVANCED = {
    "Text and model": (
        ("vae", "fp8", "clip_skip", "emphasis", "comma_backtrack", "token_merging_ratio"),
        ("tiling", "pad_conds", "old_editing", "disable_extra_networks"),
    ),
    "Guidance": (
        ("guidance", "guidance_rescale", "threshold_percentile", "skip_early_cond", "cfg_start", "cfg_end"),
        ("s_min_uncond", "ngms_all_steps"),
    ),
    "Random numbers": (("noise_source", "ensd", "eta", "s_noise", "s_churn", "s_tmin", "s_tmax"), ()),
    "Noise levels": (
        ("sigma_min", "sigma_max", "rho", "unipc_order", "beta_alpha", "beta_beta", "noise_schedule"),
        ("discard_penultimate", "sgm_noise"),
    ),
}


@contextmanager
def folded(form: Form, label: str, name: str, id: str = "") -> Iterator[None]:
    """A section that starts folded. Gradio draws what is in it when it is first unfolded."""
    id = id or f"{form.prefix}_{name}_section"
    form.within.append(id)
    with gr.Accordion(label, open=False, elem_id=id, elem_classes="at-section at-folded"):
        yield
    form.within.pop()


def add(studio: Any, form: Form, *names: str) -> None:
    """Fields two by two, one below the other where there is no room; what is ticked has a line of its own."""
    with gr.Row(elem_classes="at-fields"):
        for name in names:
            known = form.lists().get(name)
            form.add(name, offered(studio, name, known) if known else ())


def variation(studio: Any, form: Form) -> None:
    """Pictures near to the one of the seed; belongs below the seed."""
    with folded(form, "Variation", "variation", f"{form.prefix}_subseed_show"):
        add(studio, form, "subseed", "subseed_strength", "seed_resize_from_w", "seed_resize_from_h")


def hires(studio: Any, form: Form) -> None:
    """The second pass."""
    with folded(form, "Hires. fix", "hires", f"{form.prefix}_hr"):
        with gr.Row(elem_classes="at-fields at-with-note"):
            form.add("enable_hr")
            element(f'<at-hires-size form="{form.prefix}"></at-hires-size>', elem_id=f"{form.prefix}_hr_finalres")
        add(studio, form, "hr_upscaler", "hr_steps", "hr_scale", "denoising_strength", "hr_resize_x", "hr_resize_y")
        with folded(form, "Another model, sampler or prompt for it", "hires_more"):
            add(studio, form, "hr_model", "token_merging_ratio_hr", "hr_sampler", "hr_schedule")
            form.add("hr_prompt", lines=2, max_lines=6, placeholder="The same prompt")
            form.add("hr_negative_prompt", lines=2, max_lines=6, placeholder="The same negative prompt")


def refiner(studio: Any, form: Form) -> None:
    """Another model for the last steps."""
    with folded(form, "Refiner", "refiner", f"{form.prefix}_enable"):
        add(studio, form, "refiner_model", "refiner_switch_at", "refiner_by_steps")


def advanced(studio: Any, form: Form) -> None:
    """What most people never touch, and what others need to make a picture again."""
    with folded(form, "Advanced", "advanced"):
        for title, (values, switches) in ADVANCED.items():
            element(f'<p class="at-group">{title}</p>')
            add(studio, form, *values, *switches)


def tools(studio: Any, form: Form, row: gr.Row) -> None:
    """More buttons for the line below Generate: the cards of networks, and kept styles, which unfold below it."""
    with row:
        networks = gr.Button("Networks", elem_id=f"{form.prefix}_extra_networks", min_width=0)
        shown = gr.Button("Styles", elem_id=f"{form.prefix}_styles_show", min_width=0)
        with gr.Column(elem_id=f"{form.prefix}_styles_row", elem_classes="at-styles"):
            kept_styles.build(studio, form)
    networks.click(fn=None, js=f"() => atelier.networks.open('{form.prefix}')", **INSTANT)
    shown.click(fn=None, js=f"() => atelier.styles.toggle('{form.prefix}')", **INSTANT)
