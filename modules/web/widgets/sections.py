"""Folded parts of the tabs that make pictures: variation, second pass, refiner, and everything few people touch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from modules.prompts.styles import Style
from modules.web.widgets.choices import offered
from modules.web.widgets.form import Form
from modules.web.widgets.instant import INSTANT, element

MODEL = ("vae", "fp8", "clip_skip", "emphasis", "comma_backtrack")
GUIDANCE = ("guidance", "guidance_rescale", "threshold_percentile", "cfg_start", "cfg_end")
LESS = ("skip_early_cond", "s_min_uncond", "ngms_all_steps", "pad_conds", "token_merging_ratio")
NOISE = ("noise_source", "ensd", "eta", "s_churn", "s_tmin", "s_tmax", "s_noise")
LEVELS = ("sigma_min", "sigma_max", "rho", "beta_alpha", "beta_beta", "noise_schedule", "unipc_order")
SWITCHES = ("tiling", "discard_penultimate", "sgm_noise", "old_editing", "disable_extra_networks")


@contextmanager
def folded(form: Form, label: str, name: str, id: str = "") -> Iterator[None]:
    """A section that starts folded."""
    classes = "at-section at-folded"
    with gr.Accordion(label, open=False, elem_id=id or f"{form.prefix}_{name}_section", elem_classes=classes):
        yield


def add(studio: Any, form: Form, *names: str) -> None:
    """Some fields side by side, as far as there is room."""
    with gr.Row():
        for name in names:
            known = form.lists().get(name)
            form.add(name, offered(studio, name, known) if known else (), min_width=140)


def variation(studio: Any, form: Form) -> None:
    """Pictures near to the one of the seed; belongs below the seed."""
    with folded(form, "Variation", "variation", f"{form.prefix}_subseed_show"):
        add(studio, form, "subseed", "subseed_strength")
        add(studio, form, "seed_resize_from_w", "seed_resize_from_h")


def hires(studio: Any, form: Form) -> None:
    """The second pass."""
    with folded(form, "Hires. fix", "hires", f"{form.prefix}_hr"):
        add(studio, form, "enable_hr", "hr_upscaler")
        add(studio, form, "hr_scale", "denoising_strength", "hr_steps")
        add(studio, form, "hr_resize_x", "hr_resize_y")
        element(f'<at-hires-size form="{form.prefix}"></at-hires-size>', elem_id=f"{form.prefix}_hr_finalres")
        with folded(form, "Another model, sampler or prompt for the second pass", "hires_more"):
            add(studio, form, "hr_model")
            add(studio, form, "hr_sampler", "hr_schedule")
            form.add("hr_prompt", lines=2, max_lines=6, placeholder="The same prompt")
            form.add("hr_negative_prompt", lines=2, max_lines=6, placeholder="The same negative prompt")
            add(studio, form, "token_merging_ratio_hr")


def refiner(studio: Any, form: Form) -> None:
    """Another model for the last steps."""
    with folded(form, "Refiner", "refiner", f"{form.prefix}_enable"):
        add(studio, form, "refiner_model", "refiner_switch_at")


def advanced(studio: Any, form: Form) -> None:
    """What most people never touch, and what others need to make a picture again."""
    with folded(form, "Advanced", "advanced"):
        for names in (MODEL, GUIDANCE, LESS, NOISE, LEVELS, SWITCHES):
            add(studio, form, *names)


def styles(studio: Any, form: Form) -> None:
    """Kept prompts: choose some, keep the present one, forget one; and lists of words to insert."""
    with gr.Row(elem_id=f"{form.prefix}_styles_row"):
        form.add("styles", offered(studio, "styles", form.lists()["styles"]), min_width=160)
        keep = gr.Button("Keep as style", elem_id=f"{form.prefix}_style_create", min_width=0, size="sm")
        forget = gr.Button("Delete style", elem_id=f"{form.prefix}_style_delete", min_width=0, size="sm")
        words = gr.Dropdown(
            choices=studio.wildcards.names(),
            value=None,
            label="Insert a wildcard",
            elem_id=f"{form.prefix}_wildcards",
            min_width=160,
        )
    name = gr.Textbox(visible="hidden", elem_id=f"{form.prefix}_style_name", label="Name of the style")
    shown, prompt, negative = (form.components[one] for one in ("styles", "prompt", "negative_prompt"))

    def kept(called: str, prompt: str, negative: str) -> Any:
        if called.strip():
            studio.styles.save(Style(name=called.strip(), prompt=prompt, negative_prompt=negative))
        return gr.update(choices=offered(studio, "styles", form.lists()["styles"]))

    def forgotten(chosen: list[str]) -> Any:
        for one in chosen or []:
            studio.styles.delete(one)
        return gr.update(choices=offered(studio, "styles", form.lists()["styles"]), value=[])

    ask = f"(...values) => atelier.styles.naming('{form.prefix}', values)"
    keep.click(kept, [name, prompt, negative], shown, js=ask, preprocess=False, **INSTANT)
    sure = f"(chosen) => atelier.styles.deleting('{form.prefix}', chosen)"
    forget.click(forgotten, shown, shown, js=sure, preprocess=False, **INSTANT)
    insert = f"(word) => atelier.styles.insert('{form.prefix}', word)"
    words.input(fn=None, inputs=words, outputs=words, js=insert, **INSTANT)
