"""A picture's text as the fields of a request: what "read the parameters" fills in."""

import math
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from typing import Any

from modules.core.fields import Shown, shown_fields
from modules.core.image_fields import SAME
from modules.prompts.infotext import Value, read_hashes
from modules.prompts.networks import renamed_networks

KEYS = {  # of fields whose key is not theirs alone
    "prompt": "Prompt",
    "negative_prompt": "Negative prompt",
    "template": "Template",
    "negative_template": "Negative Template",
    "width": "Size-1",
    "height": "Size-2",
    "hr_resize_x": "Hires resize-1",
    "hr_resize_y": "Hires resize-2",
    "seed_resize_from_w": "Seed resize from-1",
    "seed_resize_from_h": "Seed resize from-2",
    "mask_blur_x": "Mask blur",
    "mask_blur_y": "Mask blur",
}
SECOND_PASS = ("Hires upscale", "Hires upscaler")
PROMPTS = ("Prompt", "Hires prompt")


def values_of(parsed: Mapping[str, Value], kind: type) -> dict[str, Any]:
    """Values by field name for a class of requests, as far as the parsed text holds them; what is no value is left out.

    How many pictures were made is not read: the text of picture 3 of 4 carries its own seed.

    >>> from modules.core.requests import ImageRequest
    >>> from modules.prompts.infotext import parse_infotext
    >>> values = values_of(parse_infotext("a cat\\nSteps: 20, Seed: 7, Size: 64x48, Tiling: True"), ImageRequest)
    >>> values["prompt"], values["steps"], values["width"], values["tiling"]
    ('a cat', 20, 64, True)
    """
    labels: dict[str, Shown] = {field.name: known for field, known in shown_fields(kind)}
    found: dict[str, Any] = {}
    for field in fields(kind):
        key = KEYS.get(field.name) or (labels[field.name].infotext if field.name in labels else "")
        value = _value(str(parsed[key]), field) if key in parsed else None
        if value is not None:
            found[field.name] = value
    return found | {name: value for name, value in _others(parsed).items() if hasattr(kind, name)}


def with_networks_here(parsed: Mapping[str, Value], by_hash: Mapping[str, str]) -> dict[str, Value]:
    """The parsed text with its LoRAs under the names they have here. `by_hash`: our names by the hashes texts write."""
    hashes = read_hashes(str(parsed.get("Lora hashes", "")))
    names = {name: by_hash[found] for name, found in hashes.items() if found in by_hash}
    renamed = {key: renamed_networks(str(parsed[key]), names) for key in PROMPTS if key in parsed}
    return {**parsed, **renamed}


def _value(text: str, field: Field[Any]) -> Any:
    if isinstance(field.default, str):
        return "" if text.startswith(SAME) and field.name.startswith("hr_") else text
    if isinstance(field.default, bool):
        return {"true": True, "false": False}.get(text.strip().lower())
    number = _number(text)
    if number is None or not isinstance(field.default, int):
        return number
    return int(number)


def _number(text: str) -> int | float | None:
    """A number as it is written; an integer exactly, however large: seeds have more digits than a float keeps."""
    readers: tuple[Callable[[str], int | float], ...] = (int, float)
    for read in readers:
        try:
            number = read(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else None
    return None


def _others(parsed: Mapping[str, Value]) -> dict[str, Any]:
    """What more than one key, or the absence of one, says."""
    by_size = any(str(parsed.get(f"Hires resize-{side}", 0)) != "0" for side in (1, 2))
    again = "Denoising strength" in parsed and (by_size or any(key in parsed for key in SECOND_PASS))
    found: dict[str, Any] = {"enable_hr": again and "Mask blur" not in parsed}
    styles = parsed.get("Styles array")
    if isinstance(styles, list):
        found["styles"] = tuple(styles)
    eta = _number(str(parsed.get("Eta DDIM", "")))
    if eta is not None and "Eta" not in parsed:
        found["eta"] = float(eta)
    sides = [int(side) for side in str(parsed.get("Outpaint", "")).split() if side.isascii() and side.isdigit()]
    if len(sides) == 4:
        found["outpaint"] = tuple(sides)
    return found
