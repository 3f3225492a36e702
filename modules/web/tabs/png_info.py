"""Drop a picture, see the text it carries, send it to txt2img."""

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
    """The picture at the left, what it says at the right."""
    with gr.Row(elem_classes="at-page at-png-info"):
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
    pairs = [(key, parsed[key]) for key in PROMPTS if parsed.get(key)]
    pairs += [(key, value) for key, value in parsed.items() if key not in PROMPTS and f"{_stem(key)}: " in infotext]
    return f"<dl class='at-facts'>{''.join(f'<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>' for key, value in pairs)}</dl>"


def _stem(key: str) -> str:
    """`Size-1` was written as a part of `Size`; filled-in defaults were not written at all."""
    return key.removesuffix("-1").removesuffix("-2")


def problem(sentence: str) -> str:
    """A sentence in place of the text."""
    return f"<p class='at-problem' role='alert'>{escape(sentence)}</p>"


UNREADABLE = problem("This file is no picture that can be read: PNG, JPEG, WebP, GIF and BMP can.")


@hookimpl
def register_tabs() -> list[Tab]:
    """Where the field has it."""
    return [Tab(name="PNG Info", id="png_info", build=build, order=40)]
