"""Styles: texts by name that are merged into a prompt, kept in a CSV file as the field writes it."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PLACE = "{prompt}"
COLUMNS = ("name", "prompt", "negative_prompt")
JOINT = ", "


@dataclass(frozen=True)
class Style:
    """Texts for the prompt and the negative prompt. {prompt} in them is where the prompt goes; otherwise they follow it."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""


def with_styles(prompt: str, negative_prompt: str, styles: Iterable[Style]) -> tuple[str, str]:
    """Prompt and negative prompt with the styles merged in, one after the other.

    >>> with_styles("a cat", "", [Style("ink", "ink drawing of {prompt}", "colour"), Style("sharp", "sharp")])
    ('ink drawing of a cat, sharp', 'colour')
    """
    for style in styles:
        prompt, negative_prompt = _merged(style.prompt, prompt), _merged(style.negative_prompt, negative_prompt)
    return prompt, negative_prompt


def without_styles(prompt: str, negative_prompt: str, styles: Sequence[Style]) -> tuple[str, str, tuple[str, ...]]:
    """What was before the styles were merged in, and the names of those that are found in both texts.

    >>> without_styles("ink drawing of a cat, sharp", "colour", [Style("sharp", "sharp"), Style("ink", "ink drawing of {prompt}", "colour")])
    ('a cat', '', ('sharp', 'ink'))
    """
    longest_first = sorted(styles, key=lambda style: -len(style.prompt) - len(style.negative_prompt))
    prompt, negative_prompt, found = prompt.strip(), negative_prompt.strip(), list[str]()
    while True:
        for style in longest_first:
            before, negative_before = _cut(style.prompt, prompt), _cut(style.negative_prompt, negative_prompt)
            if before is None or negative_before is None:
                continue
            if (before, negative_before) != (prompt, negative_prompt):
                prompt, negative_prompt = before, negative_before
                found.insert(0, style.name)
                break
        else:
            return prompt, negative_prompt, tuple(found)


def read_styles(text: str) -> list[Style]:
    """The styles of a CSV file; of several with one name the last. Raises ValueError saying what is wrong with it.

    >>> read_styles("name,prompt,negative_prompt\\nink,ink drawing,colour\\n")
    [Style(name='ink', prompt='ink drawing', negative_prompt='colour')]
    """
    try:
        rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    except csv.Error as error:
        raise ValueError(f"it is no table of {', '.join(COLUMNS)}: {error}") from error
    styles: dict[str, Style] = {}
    for row in rows:
        name = row.get("name") or ""
        if name:  # old files call the prompt "text"
            prompt = row.get("prompt", row.get("text")) or ""
            styles[name] = Style(name, prompt, row.get("negative_prompt") or "")
    return list(styles.values())


def write_styles(styles: Iterable[Style]) -> str:
    """The file's text, byte order mark included, as the field's programs write it."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows((style.name, style.prompt, style.negative_prompt) for style in styles)
    return "\ufeff" + out.getvalue()


def _merged(style: str, text: str) -> str:
    if PLACE in style:
        return style.replace(PLACE, text)
    return JOINT.join(part for part in (text.strip(), style.strip()) if part) if style.strip() else text


def _cut(style: str, text: str) -> str | None:
    """The text before `_merged`; None when the style is not in it."""
    if PLACE in style:
        before, _, after = style.strip().partition(PLACE)
        if PLACE in after or len(text) < len(before) + len(after):
            return None
        inside = text.startswith(before) and text.endswith(after)
        return text[len(before) : len(text) - len(after)].strip() if inside else None
    style = style.strip()
    if not style or text == style:
        return "" if style else text
    return text[: -len(JOINT + style)].strip() if text.endswith(JOINT + style) else None
