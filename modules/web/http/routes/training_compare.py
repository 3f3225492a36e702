"""`/api/v1/training/compare`: several trainings that differ in one thing, and the table they make."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.responses import Response

from modules.core.errors import InvalidRequest, Problem
from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.services.training.comparison_presets import COMPARISONS, Arm, Comparison
from modules.services.training.comparison_tables import as_csv, as_markdown
from modules.services.training.comparisons import MOST_ARMS, MOST_SEEDS, SEEDS, Comparisons, Group, Member, Shown
from modules.web.http.limits import new_router
from modules.web.http.people import Owner
from modules.web.http.training_body import OURS, PlanBody, plan_of
from modules.web.http.training_views import address

BASE = "/api/v1/training/compare"
NO_STORE = {"Cache-Control": "no-store"}
Name = Annotated[str, Field(max_length=100)]
NOT_AN_ARMS = ("group", "arm", "preset", "name", "seed", "evaluate", "pictures", "names", "captions", "crops", *OURS)

Changes: type[BaseModel] = create_model(
    "ArmChanges",
    __config__=ConfigDict(extra="forbid"),
    **{
        name: (known.annotation, Field(default=known.default))
        for name, known in PlanBody.model_fields.items()
        if name not in NOT_AN_ARMS
    },  # pyright: ignore[reportArgumentType, reportCallIssue]
)


class OwnArm(BaseModel):
    """A column of one's own: `preset` is the name of a training preset, `changes` are fields of the plan."""

    model_config = ConfigDict(extra="forbid")

    arm: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,31}$")]
    label: Name = ""
    preset: Name = ""
    changes: Changes = Field(default_factory=Changes)  # pyright: ignore[reportInvalidTypeForm]


class Asked(BaseModel):
    """`plan`: what all arms share, as `POST /api/v1/training` takes it; its `seed` and `evaluate` do not count here.

    `seeds`: how many, or which. `pack`: the prompts to measure with, those of the comparison if empty.
    """

    model_config = ConfigDict(extra="forbid")

    preset: Name = "subject2subject"
    plan: PlanBody  # pyright: ignore[reportInvalidTypeForm]
    seeds: (
        Annotated[int, Field(ge=1, le=MOST_SEEDS)]
        | Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(min_length=1, max_length=MOST_SEEDS)]
    ) = len(SEEDS)
    arms: Annotated[list[OwnArm], Field(max_length=MOST_ARMS)] = []
    pack: Name = ""


@hookimpl
def register_routes() -> list[Routes]:
    """Always served: the page lives on them."""
    return [Routes(name="training compare", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router(BASE)
    comparisons = Comparisons(studio.desk, studio.queue, studio.places)
    _add_beginning(router, comparisons)
    _add_looking(router, comparisons)
    _add_tables(router, comparisons)
    return router


def _add_beginning(router: APIRouter, comparisons: Comparisons) -> None:
    @router.post("")
    def begin(body: Asked, owner: Owner) -> dict[str, Any]:
        """Queue every arm with every seed; each is measured at its end with the same prompts and seeds."""
        seeds = list(range(1, body.seeds + 1)) if isinstance(body.seeds, int) else body.seeds
        arms = [_arm(one) for one in body.arms]
        plan = plan_of(body.plan)
        return group_view(comparisons.begin(body.preset, plan, owner, seeds=seeds, arms=arms, pack=body.pack))

    @router.post("/{group}/cancel")
    def cancel(group: str, owner: Owner) -> dict[str, Any]:
        """Stop what waits or runs; what was measured stays."""
        return group_view(comparisons.cancel(group, owner))

    @router.delete("/{group}")
    def forget(group: str, owner: Owner) -> dict[str, Any]:
        """Remove the table. The runs stay."""
        comparisons.forget(group, owner)
        return {}


def _add_looking(router: APIRouter, comparisons: Comparisons) -> None:
    @router.get("")
    def every(owner: Owner) -> dict[str, Any]:
        """One's own, the newest first, without their tables; and what can be compared."""
        short = ("group", "preset", "label", "state", "created", "part", "arms")
        found = [group_view(one) for one in comparisons.every(owner)]
        return {
            "comparisons": [{name: one[name] for name in short} for one in found],
            "presets": [_preset(one) for one in COMPARISONS],
        }

    @router.get("/presets/all")
    def presets() -> dict[str, Any]:
        """What can be compared."""
        return {"presets": [_preset(one) for one in COMPARISONS]}


def _add_tables(router: APIRouter, comparisons: Comparisons) -> None:
    @router.get("/{group}.csv")
    def table(group: str, owner: Owner) -> Response:
        """For a spreadsheet: one line for each figure and arm, every seed in a column."""
        found = comparisons.one(group, owner)
        return _file(as_csv(found.rows, found.labels, found.seeds), "text/csv", f"comparison-{group}.csv")

    @router.get("/{group}.md")
    def markdown(group: str, owner: Owner) -> Response:
        """For a report, with the caveats below."""
        found = comparisons.one(group, owner)
        count = len(found.seeds)
        title = f"{found.label} ({found.plan.model}, {count} seed{'s' if count > 1 else ''})"
        text = as_markdown(title, found.rows, found.labels, (found.note, *_failures(found), *found.notes))
        return _file(text, "text/markdown", f"comparison-{group}.md")

    @router.get("/{group}")
    def one(group: str, owner: Owner) -> dict[str, Any]:
        """How it stands, and the table so far."""
        return group_view(comparisons.one(group, owner))


def group_view(found: Group) -> dict[str, Any]:
    """A comparison as JSON. `part`: 0 to 1 of all runs. Prompts, pictures and caveats come with the first result."""
    return {
        "group": found.group,
        "preset": found.comparison,
        "label": found.label,
        "state": found.state,
        "created": found.created,
        "pack": found.pack,
        "model": found.plan.model,
        "seeds": list(found.seeds),
        "part": sum(one.fraction for one in found.members) / max(1, len(found.members)),
        "arms": [_arm_view(one, found.members) for one in found.arms],
        "columns": [one.label for one in found.arms],
        "rows": [_row(one) for one in found.rows],
        "prompts": [one.prompt for one in found.grid],
        "grid": [_shown(one) for one in found.grid],
        "note": found.note,
        "notes": [*_failures(found), *found.notes],
        "csv": f"{BASE}/{found.group}.csv",
        "markdown": f"{BASE}/{found.group}.md",
    }


def _arm_view(arm: Arm, members: tuple[Member, ...]) -> dict[str, Any]:
    mine = [one for one in members if one.arm == arm.arm]
    states = {one.state for one in mine}
    going = next((one.state for one in mine if not one.over and one.state != "waiting"), "waiting")
    return {
        "arm": arm.arm,
        "label": arm.label,
        "changes": dict(arm.changes),
        "preset": arm.preset,
        "state": states.pop() if len(states) == 1 else "partly" if all(one.over for one in mine) else going,
        "run": mine[0].run if mine else "",
        "runs": [asdict(one) for one in mine],
        "failed": [one.sentence for one in mine if one.over and one.state != "done"],
    }


def _row(row: Any) -> dict[str, Any]:
    known = {one.name: getattr(row, one.name) for one in fields(row) if one.name != "cells"}
    cells = [
        {"arm": one.arm, "value": one.value, "sd": one.sd, "n": len(one.seeds), "text": one.text, "best": one.best}
        | {"seeds": dict(one.seeds)}
        for one in row.cells
    ]
    return known | {"cells": cells}


def _shown(one: Shown) -> dict[str, Any]:
    """A row of the grid: addresses of pictures by arm, and the base model's."""
    pictures = {arm: address(*where) for arm, where in one.pictures.items()}
    return {"prompt": one.prompt, "pictures": pictures, "base": address(*one.base) if one.base else None}


def _preset(comparison: Comparison) -> dict[str, Any]:
    arms: list[Mapping[str, Any]] = [asdict(one) for one in comparison.arms]
    known = {"name": comparison.name, "label": comparison.label, "note": comparison.note, "pack": comparison.pack}
    return {**known, "arms": arms}


def _failures(found: Group) -> list[str]:
    """Why columns are thinner than they should be."""
    return [
        f"{found.labels[one.arm]}, seed {one.seed}: {one.sentence or one.state}"
        for one in found.members
        if one.over and one.state != "done"
    ]


def _arm(asked: OwnArm) -> Arm:
    changes = asked.changes.model_dump(exclude_unset=True)
    if not changes and not asked.preset:
        message = f"The arm {asked.arm!r} differs in nothing; give it a preset or changes."
        raise InvalidRequest(Problem(field="arms", message=message))
    return Arm(arm=asked.arm, label=asked.label or asked.arm, preset=asked.preset, changes=changes)


def _file(text: str, media_type: str, name: str) -> Response:
    headers = NO_STORE | {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type=media_type, headers=headers)
