"""What is known about a request's field beside its type: label, help, range. Form, HTTP schema and checks derive from it."""

import math
from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields
from typing import Any

from modules.core.errors import InvalidRequest, Problem


@dataclass(frozen=True, kw_only=True)
class Shown:
    """How one field of a request is shown and what it may hold.

    `minimum`, `maximum`, `step`: the slider on the page. `lowest`, `highest`: what is accepted at all; where they
    are None the slider's ends count. `multiple_of`: whole multiples only. `longest`: characters of a text.
    `choices`: the name of the catalogue list the value is taken from (`samplers`, `schedules`, `models`), or "".
    `options`: the allowed values themselves, when they are fixed. `infotext`: the key in the picture's text.
    """

    label: str
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    lowest: float | None = None
    highest: float | None = None
    multiple_of: int = 1
    longest: int | None = None
    choices: str = ""
    options: tuple[str, ...] = ()
    infotext: str = ""


def shown(default: Any, label: str, **known: Any) -> Any:
    """A dataclass field with its `Shown`."""
    return field(default=default, metadata={"shown": Shown(label=label, **known)})


def shown_fields(request: Any) -> Iterator[tuple[Field[Any], Shown]]:
    """The fields of a request (instance or class) that people can set."""
    for one in fields(request):
        if "shown" in one.metadata:
            yield one, one.metadata["shown"]


def check(request: Any) -> None:
    """Raise InvalidRequest naming every field whose value is out of range. Names are checked by who knows them."""
    problems = [
        Problem(field=one.name, message=message)
        for one, known in shown_fields(request)
        if (message := _complaint(getattr(request, one.name), known))
    ]
    if problems:
        raise InvalidRequest(*problems)


def _complaint(value: Any, known: Shown) -> str:
    if isinstance(value, str):
        return _text_complaint(value, known)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return _number_complaint(value, known)


def _text_complaint(text: str, known: Shown) -> str:
    if known.longest is not None and len(text) > known.longest:
        return f"{known.label} has {len(text):,} characters; at most {known.longest:,} are allowed."
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        return f"{known.label} holds a character that is no text (NUL or half of a surrogate pair); remove it."
    if known.options and text not in known.options:
        return f"{known.label} is {text[:80]!r}; it must be one of {', '.join(known.options)}."
    return ""


def _number_complaint(value: float, known: Shown) -> str:
    lowest = known.minimum if known.lowest is None else known.lowest
    highest = known.maximum if known.highest is None else known.highest
    if isinstance(value, float) and not math.isfinite(value):  # an int may be too large to be asked
        return f"{known.label} is {value}; it must be a number."
    if (lowest is not None and value < lowest) or (highest is not None and value > highest):
        return f"{known.label} is {_brief(value)}; it must be between {_brief(lowest)} and {_brief(highest)}."
    if known.multiple_of > 1 and value % known.multiple_of:
        return f"{known.label} is {_brief(value)}; it must be a multiple of {known.multiple_of}."
    return ""


def _brief(number: float | None) -> str:
    if number is None:
        return "any value"
    text = f"{number:d}" if isinstance(number, int) else f"{number:g}"
    return text if len(text) <= 24 else f"a number of {len(text)} digits"
