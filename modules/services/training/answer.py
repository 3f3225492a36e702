"""What `/api/v1/training/check` answers: a checked plan as JSON."""

from dataclasses import asdict
from typing import Any

from modules.core.training import TrainingPlan
from modules.services.training.check import Checked, epochs_of, makes_class_pictures, word_of
from modules.services.training.defaults import pictures_a_step
from modules.services.training.pictures import Seen
from modules.services.training.remarks import Finding
from modules.services.training.texts import source_of


def as_json(found: Checked) -> dict[str, Any]:
    """The answer of `/api/v1/training/check`."""
    plan, known = found.plan, found.estimate
    return {
        "level": found.level,
        "problems": [_problem(one) for one in found.problems],
        "pictures": [_picture(plan, number, one) for number, one in enumerate(found.pictures)],
        "captions": _counted(plan),
        "token": {
            "text": word_of(plan),
            "pieces": list(found.token.pieces),
            "ids": list(found.token.ids),
            "rare": found.token.rare,
            "warnings": list(found.warnings),
        },
        "plan": {
            "steps": plan.max_train_steps,
            "epochs": round(epochs_of(plan), 2),
            "pictures_seen": plan.max_train_steps * pictures_a_step(plan),
            "model": found.model.title,
            "class_pictures_needed": plan.num_class_images if makes_class_pictures(plan) else 0,
            "class_pictures_missing": found.class_missing,
            **{name: getattr(plan, name) for name in SHOWN},
            "disk": known.disk if known else None,
            "disk_free": known.free if known else None,
            "memory": known.memory if known else None,
        },
    }


SHOWN = (
    "learning_rate",
    "text_encoder_lr",
    "resolution",
    "identifier",
    "class_noun",
    "name",
    "instance_prompt",
    "class_prompt",
    "formats",
    "preview_prompts",
    "preview_every",
    "save_every",
)


def _problem(one: Finding) -> dict[str, Any]:
    found: dict[str, Any] = {"field": one.field, "message": one.message, "level": one.level}
    return found | ({"fix": asdict(one.fix)} if one.fix else {})


def _picture(plan: TrainingPlan, number: int, one: Seen) -> dict[str, Any]:
    source = source_of(plan, number)
    found: dict[str, Any] = {
        "id": one.id,
        "name": one.name,
        "width": one.width,
        "height": one.height,
        "level": one.level,
        "remarks": [remark.message for remark in one.remarks],
        "caption": plan.instance_prompt if source == "none" else plan.captions[number],
        "caption_source": source,
        "crop": list(one.crop),
    }
    return found | ({"duplicate_of": one.duplicate_of} if one.duplicate_of else {})


def _counted(plan: TrainingPlan) -> dict[str, int]:
    sources = [source_of(plan, number) for number in range(len(plan.pictures))]
    return {"txt": 0} | {kind: sources.count(kind) for kind in ("caption", "filename", "none")}
