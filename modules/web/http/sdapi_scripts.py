"""Built-in scripts as clients of the field's API name them: parts of a request that came into the field as scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass
from typing import Any

from fastapi import HTTPException

from modules.core.errors import InvalidRequest, Problem
from modules.core.fields import Shown, shown_fields
from modules.core.requests import EditRequest, ImageRequest
from modules.web.http.sdapi_fields import typed


@dataclass(frozen=True)
class Script:
    """An always-on script. `fields`: where its arguments go, from the left; "" for one that means nothing here."""

    title: str
    fields: tuple[str, ...]
    labels: tuple[str, ...]
    edits_only: bool = False


REFINER = Script("refiner", ("", "refiner_model", "refiner_switch_at"), ("Refiner", "Checkpoint", "Switch at"))
SOFT = Script(
    "soft inpainting",
    ("soft_inpainting", "soft_power", "soft_scale", "soft_detail"),
    ("Soft inpainting", "Schedule bias", "Preservation strength", "Transition contrast boost"),
    edits_only=True,
)
ALWAYS_ON = (REFINER, SOFT)


def titles(edits: bool) -> list[str]:
    """What `/scripts` lists for one of the two tabs."""
    return [script.title for script in ALWAYS_ON if edits or not script.edits_only]


def script_views() -> list[dict[str, Any]]:
    """What `/script-info` tells of each script and its arguments."""
    return [
        {"name": script.title, "is_alwayson": True, "is_img2img": edits, "args": _arguments(script)}
        for edits in (False, True)
        for script in ALWAYS_ON
        if edits or not script.edits_only
    ]


def fields_of_scripts(asked: Mapping[str, Any], kind: type[ImageRequest]) -> dict[str, Any]:
    """Our fields as the arguments of always-on scripts say them. Raises HTTPException for a script that is not there."""
    found: dict[str, Any] = {}
    for title, entry in asked.items():
        script = next((one for one in ALWAYS_ON if one.title == title.strip().casefold()), None)
        if script is None or (script.edits_only and kind is not EditRequest):
            raise HTTPException(422, f"Script '{title[:200]}' not found")
        arguments = _listed(entry)
        off = script is REFINER and arguments and not arguments[0]
        pairs = zip(script.fields, arguments, strict=False)
        found |= {} if off else {field: _read(field, value) for field, value in pairs if field}
    return found


def refuse_selectable(name: str | None) -> None:
    """There are none yet that can be selected. Raises HTTPException."""
    if name:
        if name.strip().casefold() in titles(edits=True):
            raise HTTPException(422, f"Script '{name[:200]}' is always on; send it in alwayson_scripts.")
        raise HTTPException(422, f"Script '{name[:200]}' not found")


def _listed(entry: Any) -> Sequence[Any]:
    arguments = entry.get("args", []) if isinstance(entry, Mapping) else None  # pyright: ignore
    if not isinstance(arguments, list):
        message = 'A script is written as {"args": [ ... ]}.'
        raise InvalidRequest(Problem(field="alwayson_scripts", message=message))
    return arguments  # pyright: ignore[reportUnknownVariableType]


def _read(field: str, value: Any) -> Any:
    if field == "refiner_model" and value in (None, "None"):
        return ""
    return typed(*_shown()[field], value, "alwayson_scripts")


def _arguments(script: Script) -> list[dict[str, Any]]:
    return [_argument(field, label) for field, label in zip(script.fields, script.labels, strict=True)]


def _argument(field: str, label: str) -> dict[str, Any]:
    one, known = _shown().get(field, (None, Shown(label=label)))
    limits = {"minimum": known.minimum, "maximum": known.maximum, "step": known.step}
    return {"label": label, "value": one.default if one else False, **limits, "choices": None}


def _shown() -> dict[str, tuple[Field[Any], Shown]]:
    return {one.name: (one, known) for one, known in shown_fields(EditRequest)}
