"""Kept prompts (styles): choose some, keep the present one, delete some with ten seconds to think; words to insert."""

import json
from typing import Any

import gradio as gr

from modules.core.errors import AtelierError, InvalidRequest, Problem
from modules.prompts.styles import Style
from modules.web.widgets.choices import offered
from modules.web.widgets.form import Form
from modules.web.widgets.instant import INSTANT, element

PARTS = ("name", "prompt", "negative_prompt")


def build(studio: Any, form: Form) -> None:
    """Place it; the page's script shows and hides it (`assets/sections.js`)."""
    prefix = form.prefix
    with gr.Row():
        chosen = form.add("styles", offered(studio, "styles", form.lists()["styles"]), min_width=160)
        words = _wildcards(studio, prefix)
    with gr.Row(elem_classes="at-style-keeping"):
        name = gr.Textbox(label="Name of a style", elem_id=f"{prefix}_style_name", placeholder="A name", max_lines=1)
        keep = gr.Button("Keep prompts", elem_id=f"{prefix}_style_create", min_width=0, size="sm")
        delete = gr.Button("Delete chosen", elem_id=f"{prefix}_style_delete", min_width=0, size="sm")
    element(f'<at-styles-said form="{prefix}"></at-styles-said>')
    answer = gr.Textbox(visible="hidden", elem_id=f"{prefix}_style_answer", label="Answer about styles")
    restore = gr.Button(visible="hidden", elem_id=f"{prefix}_style_restore")
    prompts = [form.components["prompt"], form.components["negative_prompt"]]

    def kept(called: str, prompt: str, negative: str) -> tuple[Any, str]:
        return _answered(studio, form, lambda: keep_style(studio, called or "", prompt or "", negative or ""))

    def deleted(names: list[str]) -> tuple[Any, str]:
        return _answered(studio, form, lambda: delete_styles(studio, names or []))

    def restored(text: str) -> tuple[Any, str]:
        return _answered(studio, form, lambda: restore_styles(studio, text))

    def on(button: gr.Button, call: Any, inputs: Any, **how: Any) -> None:
        told = button.click(call, inputs, [chosen, answer], preprocess=False, **how, **INSTANT)
        told.success(fn=None, inputs=answer, js=f"text => atelier.styles.said('{prefix}', text)", **INSTANT)

    on(keep, kept, [name, *prompts])
    on(delete, deleted, chosen)
    on(restore, restored, answer, js=f"() => atelier.styles.toRestore('{prefix}')")
    insert = f"word => atelier.styles.insert('{prefix}', word)"
    words.input(fn=None, inputs=words, outputs=words, js=insert, **INSTANT)


def _wildcards(studio: Any, prefix: str) -> gr.Dropdown:
    words = gr.Dropdown(
        choices=studio.wildcards.names(),
        value=None,
        label="Insert a wildcard",
        elem_id=f"{prefix}_wildcards",
        min_width=160,
    )
    words.focus(lambda: gr.update(choices=studio.wildcards.names()), None, words, **INSTANT)
    return words


def keep_style(studio: Any, name: str, prompt: str, negative: str) -> dict[str, Any]:
    """Keep the prompts; what stood under that name can be brought back."""
    name = name.strip()
    if not name:
        return {"problem": "Give the style a name first."}
    if not prompt.strip() and not negative.strip():
        return {"problem": "There is no prompt to keep yet."}
    before = [_plain(one) for one in studio.styles.all() if one.name == name]
    studio.styles.save(Style(name=name, prompt=prompt, negative_prompt=negative))
    return {"sentence": f"{name} is replaced." if before else f"{name} is kept.", "before": before, "kept": name}


def delete_styles(studio: Any, names: list[str]) -> dict[str, Any]:
    """Delete them; the answer holds what is needed to bring them back."""
    if not names:
        return {"problem": "Choose the styles to delete first."}
    before = [_plain(one) for one in studio.styles.all() if one.name in names]
    for one in before:
        studio.styles.delete(one["name"])
    sentence = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} deleted."
    return {"sentence": sentence, "before": before, "deleted": names}


def restore_styles(studio: Any, text: str) -> dict[str, Any]:
    """Bring back what an answer of the other two held."""
    try:
        styles = [Style(**{name: str(one[name]) for name in PARTS}) for one in json.loads(text)["before"]]
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidRequest(Problem(field="styles", message="The page sent no styles to bring back.")) from error
    for style in styles:
        studio.styles.save(style)
    return {"sentence": ""}


def _answered(studio: Any, form: Form, call: Any) -> tuple[Any, str]:
    """The list as it is afterwards, and for the page's script what came of it, as JSON."""
    try:
        answer = call()
    except AtelierError as error:
        answer = {"problem": str(error)}
    without = {"value": []} if "deleted" in answer else {}
    return gr.update(choices=offered(studio, "styles", form.lists()["styles"]), **without), json.dumps(answer)


def _plain(style: Style) -> dict[str, str]:
    return {name: getattr(style, name) for name in PARTS}
