"""Drop a picture, see the text it carries, send both to another tab, make it again and compare (`assets/png_info.js`)."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from modules.core.errors import AtelierError
from modules.core.extension_points import Tab, hookimpl
from modules.imaging.metadata import read_text
from modules.prompts.infotext import parse_infotext
from modules.web.widgets.instant import INSTANT, element

LARGEST = 64 << 20  # bytes
EMPTY = "<p class='at-note'>A picture made here or by a program of the field carries its prompt and settings.</p>"
PROMPTS = ("Prompt", "Negative prompt")


def build(studio: Any) -> None:
    """The picture at the left, what it says at the right, the comparison below."""
    with gr.Column(elem_classes="at-page at-wide"):
        with gr.Row(elem_classes="at-png-info"):
            picture = gr.Image(
                sources=["upload", "clipboard"],
                type="filepath",
                image_mode=None,  # as it is: a converted picture has lost its text
                label="Picture",
                elem_id="pnginfo_image",
                height=400,
            )
            with gr.Column():
                element("<at-png-tools></at-png-tools>")
                text = element(EMPTY, elem_id="html_info")
        element("<at-reproduction></at-reproduction>", elem_id="pnginfo_comparison")
    read = picture.change(shown, picture, text, **INSTANT)
    read.failure(lambda: UNREADABLE, None, text, **INSTANT)


def shown(path: str | None) -> str:
    """The page's element for a picture file: its text, parsed and whole, or a sentence."""
    if path is None:
        return EMPTY
    file = Path(path)
    if file.stat().st_size > LARGEST:
        return problem(f"The file is larger than {LARGEST >> 20} MB; no picture of this kind is.")
    try:
        infotext = read_text(file.read_bytes()).infotext
    except AtelierError as error:
        return problem(str(error))
    return described(infotext)


def described(infotext: str) -> str:
    """A picture's text as a list of what it says. It comes from strangers: everything is escaped."""
    if not infotext.strip():
        return problem("This picture carries no text of its making. Programs that edit or send pictures often drop it.")
    parsed = parse_infotext(infotext)
    return f"<at-png-text text='{escape(infotext)}'></at-png-text>{_facts(parsed, infotext)}"


def _facts(parsed: Mapping[str, Any], infotext: str) -> str:
    pairs = [(key, str(parsed[key])) for key in PROMPTS if parsed.get(key)]
    pairs += [(key, str(value)) for key, value in _sizes_joined(parsed).items() if f"{key}: " in infotext]
    return f"<dl class='at-facts'>{''.join(f'<dt>{escape(key)}</dt><dd>{escape(value)}</dd>' for key, value in pairs)}</dl>"


def _sizes_joined(parsed: Mapping[str, Any]) -> dict[str, Any]:
    """As it was written: `Size-1` and `Size-2` are one size; filled-in defaults are left out by who asks."""
    joined: dict[str, Any] = {}
    for key, value in parsed.items():
        stem = key.removesuffix("-1").removesuffix("-2")
        if stem != key:
            joined[stem] = f"{parsed.get(f'{stem}-1')}x{parsed.get(f'{stem}-2')}"
        elif key not in PROMPTS:
            joined[key] = value
    return joined


def problem(sentence: str) -> str:
    """A sentence in place of the text."""
    return f"<p class='at-problem' role='alert'>{escape(sentence)}</p>"


UNREADABLE = problem("This file is no picture that can be read: PNG, JPEG, WebP, GIF and BMP can.")


@hookimpl
def register_tabs() -> list[Tab]:
    """Where the field has it."""
    return [Tab(name="PNG Info", id="png_info", build=build, order=40)]
