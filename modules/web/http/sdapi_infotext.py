"""The `infotext` of a body: how another picture was made, for all that the client does not say itself."""

from collections.abc import Mapping
from typing import Any

from modules.core.errors import UnknownName
from modules.core.fields import shown_fields
from modules.core.requests import ImageRequest
from modules.prompts.infotext import DEFAULTS, parse_infotext
from modules.services.library import Library
from modules.web.http.sdapi_fields import typed

BESIDE = {  # fields whose key is not their own
    "prompt": "Prompt",
    "negative_prompt": "Negative prompt",
    "width": "Size-1",
    "height": "Size-2",
    "hr_resize_x": "Hires resize-1",
    "hr_resize_y": "Hires resize-2",
    "seed_resize_from_w": "Seed resize from-1",
    "seed_resize_from_h": "Seed resize from-2",
    "mask_blur_x": "Mask blur",
    "mask_blur_y": "Mask blur",
}
SAME = "Use same"
HIRES = ("Hires upscale", "Hires upscaler", "Hires steps", "Hires resize-1")


def fields_in(text: str, kind: type[ImageRequest], library: Library) -> dict[str, Any]:
    """Our fields as far as the text says something. A model that is not there is left out.

    Raises InvalidRequest for a number that is none.
    """
    said = _said(text)
    known = {one.name: (one, shown) for one, shown in shown_fields(kind)}
    found: dict[str, Any] = {}
    for name, (field, shown) in known.items():
        key = BESIDE.get(name, shown.infotext)
        if key in said and not said[key].startswith(SAME):
            found[name] = typed(field, shown, said[key], name)
    if kind is ImageRequest and any(key in said for key in HIRES):
        found["enable_hr"] = True
    found.pop("model", None)
    return found | _model(said, library)


def _said(text: str) -> dict[str, str]:
    """What stands in the text itself; what absent keys would mean is left to the settings."""
    found = parse_infotext(text)
    return {
        key: str(value) for key, value in found.items() if key not in DEFAULTS or f"{key.removesuffix('-1')}:" in text
    }


def _model(said: Mapping[str, str], library: Library) -> dict[str, Any]:
    for key in ("Model hash", "Model"):
        try:
            if said.get(key):
                return {"model": library.find(said[key]).title}
        except UnknownName:
            continue
    return {}
