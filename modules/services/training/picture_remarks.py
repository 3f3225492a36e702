"""What is said of a plan's pictures together: one sentence for all that have the same thing in common, and a way to mend it."""

from collections.abc import Iterator, Sequence
from typing import Any

from modules.core.training import RED, TrainingPlan
from modules.services.training.pictures import Seen, worst
from modules.services.training.remarks import Finding, Fix

MOST_NAMED = 5  # pictures in one sentence
SAID = {  # what several pictures have in common: (one, several)
    "unreadable": ("{names} cannot be read.", "{count} pictures cannot be read: {names}."),
    "copy": ("{names} is nearly the same as another.", "{count} pictures are nearly copies of others: {names}."),
    "small": ("{names} is too small; it will be enlarged.", "{count} pictures are too small: {names}."),
    "blurred": ("{names} looks blurred.", "{count} pictures look blurred: {names}."),
    "shape": ("{names} is far from square; much is cut off.", "{count} pictures are far from square: {names}."),
    "stripe": ("{names} is a stripe; crop it.", "{count} pictures are stripes; crop them: {names}."),
    "crop": ("The crop of {names} is no box.", "The crops of {count} pictures are no boxes: {names}."),
}


def of_pictures(plan: TrainingPlan, pictures: Sequence[Seen]) -> Iterator[Finding]:
    """One finding for each thing that several pictures may have in common."""
    if not plan.pictures:
        yield Finding(field="pictures", message="There are no pictures to learn from; add 3 to 20.", level=RED)
    for kind, (one, several) in SAID.items():
        found = [number for number, seen in enumerate(pictures) if any(it.kind == kind for it in seen.remarks)]
        if not found:
            continue
        names = ", ".join(pictures[number].name for number in found[:MOST_NAMED])
        names += f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        message = (one if len(found) == 1 else several).format(names=names, count=len(found))
        level = worst([it.level for number in found for it in pictures[number].remarks if it.kind == kind])
        fix = _fix_of(kind, plan, found)
        yield Finding(field="crops" if kind == "crop" else "pictures", message=message, level=level, fix=fix)


def _fix_of(kind: str, plan: TrainingPlan, found: Sequence[int]) -> Fix | None:
    if kind in ("unreadable", "copy", "stripe"):
        label = {"copy": "Remove the copies"}.get(kind, "Remove them" if len(found) > 1 else "Remove it")
        return Fix(label=label, changes=_without(plan, found))
    if kind == "shape":
        return Fix(label="Keep their shapes", changes={"buckets": True})
    return Fix(label="Forget the crops", changes={"crops": []}) if kind == "crop" else None


def _without(plan: TrainingPlan, gone: Sequence[int]) -> dict[str, Any]:
    """The lists of a plan without some of its pictures."""
    lists = {name: getattr(plan, name) for name in ("pictures", "names", "captions", "crops")}
    return {
        name: [one for number, one in enumerate(values) if number not in gone]
        for name, values in lists.items()
        if values
    }
