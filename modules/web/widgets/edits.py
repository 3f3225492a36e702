"""What the img2img tab's script sends beside the form's fields: which stored pictures, how far to extend them, what size."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modules.core.errors import InvalidRequest, Problem
from modules.core.requests import EditRequest, InterrogateRequest

MOST_PICTURES = 64


def with_task(request: EditRequest, text: str) -> EditRequest:
    """The request with what the script sent as JSON. One slider sets the mask's blur in both directions.

    Raises InvalidRequest for anything the script would not send.
    """
    return replace(request, mask_blur_y=request.mask_blur_x, **_task(text))


def described(text: str) -> InterrogateRequest:
    """The request for words about the first of the pictures. Raises InvalidRequest."""
    pictures = _pictures(_read(text))
    return InterrogateRequest(picture=pictures[0] if pictures else "")


def _read(text: str) -> dict[str, Any]:
    try:
        sent = json.loads(text or "{}")
    except ValueError:
        sent = None
    if not isinstance(sent, dict):
        raise _wrong("init_images", "The page sent no picture with this; reload it and try again.")
    return sent


def _task(text: str) -> dict[str, Any]:
    sent = _read(text)
    task: dict[str, Any] = {name: _number(sent, name) for name in ("width", "height") if name in sent}
    return task | {
        "init_images": _pictures(sent),
        "mask": _text(sent, "mask"),
        "outpaint": _sides(sent),
    }


def _pictures(sent: Mapping[str, Any]) -> tuple[str, ...]:
    ids = sent.get("init_images", [])
    if not isinstance(ids, list) or len(ids) > MOST_PICTURES or not all(isinstance(one, str) for one in ids):
        raise _wrong("init_images", "The pictures to start from must be a list of ids.")
    return tuple(ids)


def _text(sent: Mapping[str, Any], name: str) -> str:
    value = sent.get(name) or ""
    if not isinstance(value, str):
        raise _wrong(name, f"The {name} must be the id of a stored picture.")
    return value


def _sides(sent: Mapping[str, Any]) -> tuple[int, int, int, int]:
    sides = sent.get("outpaint", [0, 0, 0, 0])
    if not isinstance(sides, list) or len(sides) != 4 or not all(_whole(one) for one in sides):
        raise _wrong("outpaint", "Outpainting takes four whole numbers: pixels left, up, right and down.")
    left, up, right, down = sides
    return left, up, right, down


def _number(sent: Mapping[str, Any], name: str) -> int:
    if not _whole(sent[name]):
        raise _wrong(name, f"The {name} must be a whole number.")
    return sent[name]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(Problem(field=field, message=message))
