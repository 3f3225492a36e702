"""A picture's text as values of a form's fields."""

from collections.abc import Mapping
from dataclasses import Field
from typing import Any

from modules.core.fields import Shown
from modules.prompts.infotext import parse_infotext

BESIDE = {"prompt": "Prompt", "negative_prompt": "Negative prompt", "width": "Size-1", "height": "Size-2"}


def values_of(text: str, fields: Mapping[str, tuple[Field[Any], Shown]]) -> dict[str, Any]:
    """Values by field name, as far as the text holds them; numbers are numbers, what is no number is left out.

    `Batch size` is not read: the text of picture 3 of 4 carries its own seed already.
    """
    parsed = parse_infotext(text)
    keys = {name: BESIDE.get(name, known.infotext) for name, (_, known) in fields.items()}
    found = {name: str(parsed[key]) for name, key in keys.items() if key in parsed}
    return {name: value for name, text in found.items() if (value := _value(text, fields[name])) is not None}


def _value(text: str, field: tuple[Field[Any], Shown]) -> Any:
    default, known = field[0].default, field[1]
    if isinstance(default, str) or (known.highest or 0) > 2**53:
        return text
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else number
