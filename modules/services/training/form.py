"""What a form for a training needs: fields with their ranges and help, presets, methods, lists; and the example subject."""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from modules.core import training_fields
from modules.core.errors import NotFound
from modules.core.events import Choice
from modules.core.fields import Shown
from modules.core.flags import ROOT
from modules.core.places import Places
from modules.core.training import TrainingPlan
from modules.core.training_fields import LONGEST_FILE_NAME, LONGEST_PROMPT, MOST_PICTURES
from modules.services.inputs import MOST_PIXELS, Inputs
from modules.services.studio import Studio
from modules.services.training.defaults import KNOWN_METHODS
from modules.services.training.picture_folder import OPEN, FolderImport
from modules.services.training.presets import PRESETS

BASIC = (
    "method",
    "model",
    "class_noun",
    "identifier",
    "instance_prompt",
    "name",
    "max_train_steps",
    "learning_rate",
    "with_prior_preservation",
)
SECTIONS = {  # by the class that declares the field, in the order in which they are shown
    "SubjectFields": "Basic",
    "DataFields": "Pictures",
    "PriorFields": "Prior preservation",
    "PreviewFields": "Previews",
    "SavingFields": "Saving",
    "NetworkFields": "Network",
    "OptimizerFields": "Optimizer",
    "LossFields": "Loss",
    "MemoryFields": "Memory",
}
EXAMPLE = Path("starter") / "example" / "example.json"


def form(studio: Studio) -> dict[str, Any]:
    """The answer of `/api/v1/training/form`."""
    known = studio.catalogue.now()
    methods = known.training_methods or KNOWN_METHODS
    return {
        "fields": form_fields(),
        "sections": ["Basic", *(name for name in SECTIONS.values() if name != "Basic"), "Result"],
        "presets": [{"name": one.name, "note": one.note, "values": dict(one.values)} for one in PRESETS],
        "methods": [_method(one) for one in methods],
        "models": [record.title for record in studio.library.models() if not record.problem],
        "samplers": [one.name for one in known.samplers],
        "limits": {
            "pictures": MOST_PICTURES,
            "picture_pixels": MOST_PIXELS,
            "prompt": LONGEST_PROMPT,
            "name": LONGEST_FILE_NAME,
        },
        "folder": {
            "any": FolderImport(studio.inputs, studio.places, studio.flags).free,
            "open": str(studio.places.data / OPEN),
        },
        "example": example_file(studio.places) is not None,
    }


def _method(one: Choice) -> dict[str, Any]:
    return {
        "name": one.name,
        "label": one.key or one.name,
        "formats": list(one.options),
        "learning_rate": one.value,
        "note": one.note,
    }


def form_fields() -> list[dict[str, Any]]:
    """Every field that people can set, section by section, those of the first screen first."""
    hints = get_type_hints(TrainingPlan)
    declared = _sections()
    found: list[dict[str, Any]] = []
    for one in fields(TrainingPlan):
        known = one.metadata.get("shown")
        if isinstance(known, Shown):
            found.append(_described(one.name, one.default, known, hints[one.name], declared.get(one.name, "Result")))
    order = [*SECTIONS.values(), "Result"]
    place = {name: number for number, name in enumerate(BASIC)}
    return sorted(found, key=lambda one: (order.index(one["section"]), place.get(one["name"], len(BASIC))))


def _sections() -> dict[str, str]:
    """Each field's section."""
    found: dict[str, str] = {}
    for name, section in SECTIONS.items():
        group: Any = getattr(training_fields, name)
        assert is_dataclass(group)
        found |= {one.name: section for one in fields(group)}
    return found | dict.fromkeys(BASIC, "Basic")


def _described(name: str, default: Any, known: Shown, hint: Any, section: str) -> dict[str, Any]:
    lowest = known.minimum if known.lowest is None else known.lowest
    highest = known.maximum if known.highest is None else known.highest
    return {
        "name": name,
        "label": known.label,
        "help": known.help,
        "type": _kind(known, hint),
        "default": default,
        "minimum": known.minimum,
        "maximum": known.maximum,
        "lowest": lowest,
        "highest": highest,
        "step": known.step,
        "multiple_of": known.multiple_of,
        "longest": known.longest,
        "options": list(known.options),
        "choices": known.choices,
        "section": section,
    }


def _kind(known: Shown, hint: Any) -> str:
    if known.options or known.choices:
        return "choice"
    return {bool: "checkbox", int: "integer", float: "number"}.get(hint, "text")


# The example subject -----------------------------------------------------------------------------------------------------


def example_file(places: Places) -> Path | None:
    """What describes the example pictures: in the models folder, else in the clone."""
    found = (folder / EXAMPLE for folder in (places.models, ROOT / "models"))
    return next((one for one in found if one.is_file()), None)


def example(places: Places, inputs: Inputs) -> dict[str, Any]:
    """The example pictures, stored as if somebody had brought them. Raises NotFound where they are not installed."""
    file = example_file(places)
    if file is None:
        raise NotFound("there are no example pictures here; models/starter/example is missing")
    known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    pictures: list[dict[str, str]] = [
        {
            "id": inputs.store((file.parent / one["file"]).read_bytes()).id,
            "name": one["file"],
            "caption": one["caption"],
        }
        for one in known["pictures"]
    ]
    return {
        "pictures": pictures,
        "captions": [one["caption"] for one in pictures],
        "class_noun": known["class_noun"],
        "identifier": known["identifier"],
    }
