"""A training's plan as the body of a request: the fields of `TrainingPlan` by their names, no others."""

from dataclasses import fields
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from modules.core.fields import Shown
from modules.core.training import TrainingPlan
from modules.core.training_fields import LONGEST_PROMPT, MOST_PICTURES
from modules.services.training.presets import preset_values

Id = Annotated[str, Field(max_length=64)]
Name = Annotated[str, Field(max_length=1_000)]
Caption = Annotated[str, Field(max_length=LONGEST_PROMPT)]
LISTS: dict[str, Any] = {
    "pictures": Annotated[tuple[Id, ...], Field(max_length=MOST_PICTURES)],
    "class_pictures": Annotated[tuple[Id, ...], Field(max_length=10_000)],
    "names": Annotated[tuple[Name, ...], Field(max_length=MOST_PICTURES)],
    "captions": Annotated[tuple[Caption, ...], Field(max_length=MOST_PICTURES)],
    "preview_prompts": Annotated[tuple[Caption, ...], Field(max_length=32)],
}
OURS = ("run", "dry", "save")  # what the server decides


def _field(one: Any) -> Any:
    shown = one.metadata.get("shown", Shown(label=""))
    description = f"{shown.label}. {shown.help}".strip(". ") if shown.label else None
    return LISTS.get(one.name, one.type), Field(default=one.default, description=description)


PlanBody: type[BaseModel] = create_model(
    "TrainingPlanBody",
    __config__=ConfigDict(extra="forbid"),
    **{one.name: _field(one) for one in fields(TrainingPlan) if one.name not in OURS},
)


def plan_of(body: BaseModel, **more: Any) -> TrainingPlan:
    """The plan that a body asks for: its fields over those of the preset that it names. Checked where it is used.

    Raises InvalidRequest for a preset that is not there.
    """
    preset = preset_values(str(getattr(body, "preset", "")))
    given = {name: getattr(body, name) for name in body.model_fields_set}
    return TrainingPlan(**{**preset, **given, **more})
