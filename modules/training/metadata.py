"""What a result says of itself: kohya's `ss_*`, ModelSpec (github.com/Stability-AI/ModelSpec) and our own JSON.

Cards and lists of this program, and of others, read trigger words, base model and picture size from these.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from modules.core.training import TrainingPlan
from modules.training.learner import Exported

OWN_KEY = "atelier.training"
PRIVATE = ("pictures", "names", "captions", "crops", "class_pictures", "folder", "run", "group", "arm")
MOST_TAGS = 500
# by family's name: (ModelSpec's architecture, kohya's base version, where the layout is from)
COMPVIS, SGM = "https://github.com/CompVis/stable-diffusion", "https://github.com/Stability-AI/generative-models"
BASES = {
    "Stable Diffusion 1.x": ("stable-diffusion-v1", "sd_v1", COMPVIS),
    "Stable Diffusion 2.x": ("stable-diffusion-v2-512", "sd_v2", "https://github.com/Stability-AI/stablediffusion"),
    "Stable Diffusion XL": ("stable-diffusion-xl-v1-base", "sdxl_base_v1-0", SGM),
    "Stable Diffusion XL refiner": ("stable-diffusion-xl-v1-refiner", "sdxl_refiner_v1-0", SGM),
}
VELOCITY_2 = ("stable-diffusion-v2-768-v", "sd_v2_v", "https://github.com/Stability-AI/stablediffusion")
ADAPTERS = {"lora": "/lora", "embedding": "/textual-inversion", "checkpoint": ""}
MODULES = {"lora": "networks.lora", "embedding": "textual_inversion"}  # as kohya's tools call them
HINTS = {
    "lora": "Put it into models/Lora and write <lora:{name}:1> and {trigger} in the prompt.",
    "embedding": "Put it into embeddings and write {trigger} in the prompt.",
    "checkpoint": "Put it into models/Stable-diffusion and write {trigger} in the prompt.",
}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a training beside its plan. `family`, `prediction`: of the base model, `model_hash`: its SHA-256.

    `step`: after how many steps this is. `captions`: what stood beside each picture. `data_hash`: of the pictures as
    trained. `date`: ISO 8601. `resolution`: (width, height).
    """

    family: str
    prediction: str
    model_name: str
    model_hash: str
    step: int
    captions: Sequence[str]
    data_hash: str
    date: str
    resolution: tuple[int, int]


def metadata(plan: TrainingPlan, facts: Facts, one: Exported) -> dict[str, str]:
    """All that is written into this file, what the method says of it included."""
    return _modelspec(plan, facts, one) | _kohya(plan, facts, one) | {OWN_KEY: _own(plan, facts)} | dict(one.metadata)


def trigger(plan: TrainingPlan) -> str:
    """The words that bring the subject out in a prompt.

    >>> trigger(TrainingPlan(identifier="sks", class_noun="cat"))
    'sks cat'
    """
    if plan.method == "textual_inversion":
        return plan.name
    return " ".join(word for word in (plan.identifier.strip(), plan.class_noun.strip()) if word)


def _base(facts: Facts) -> tuple[str, str, str]:
    family = next((name for name in sorted(BASES, key=len, reverse=True) if facts.family.startswith(name)), "")
    if family == "Stable Diffusion 2.x" and facts.prediction == "v_prediction":
        return VELOCITY_2
    return BASES.get(family, ("", "", ""))


def _modelspec(plan: TrainingPlan, facts: Facts, one: Exported) -> dict[str, str]:
    architecture, _, implementation = _base(facts)
    words = {"name": plan.name, "trigger": trigger(plan)}
    width, height = facts.resolution
    found = {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": architecture + ADAPTERS[one.kind] if architecture else "",
        "modelspec.implementation": "diffusers" if one.format in ("peft", "diffusers") else implementation,
        "modelspec.title": plan.name,
        "modelspec.description": _description(plan, facts),
        "modelspec.date": facts.date,
        "modelspec.resolution": f"{width}x{height}",
        "modelspec.prediction_type": "v" if facts.prediction == "v_prediction" else "epsilon",
        "modelspec.trigger_phrase": words["trigger"],
        "modelspec.usage_hint": HINTS[one.kind].format(**words),
    }
    return {key: text for key, text in found.items() if text}


def _description(plan: TrainingPlan, facts: Facts) -> str:
    taught = plan.class_noun or "a subject"
    return f"Trained on {len(facts.captions)} pictures of {taught} with Atelier, {plan.method}, {facts.step} steps."


def _kohya(plan: TrainingPlan, facts: Facts, one: Exported) -> dict[str, str]:
    width, height = facts.resolution
    shared = {
        "ss_output_name": plan.name,
        "ss_base_model_version": _base(facts)[1],
        "ss_sd_model_name": facts.model_name,
        "ss_sd_model_hash": facts.model_hash[:10],
        "ss_new_sd_model_hash": facts.model_hash,
        "ss_steps": str(facts.step),
        "ss_max_train_steps": str(plan.max_train_steps),
        "ss_learning_rate": str(plan.learning_rate),
        "ss_num_train_images": str(len(facts.captions)),
        "ss_resolution": f"({width}, {height})",
        "ss_seed": str(plan.seed),
        "ss_v2": str("Stable Diffusion 2" in facts.family),
        "ss_v_parameterization": str(facts.prediction == "v_prediction"),
        "ss_tag_frequency": json.dumps({plan.name or "pictures": tag_frequency(facts.captions)}),
        "ss_network_module": MODULES.get(one.kind, ""),
    }
    network = {"lora": _network_of_lora(plan), "embedding": {"ss_network_dim": str(plan.num_vectors)}}
    return {key: text for key, text in (shared | network.get(one.kind, {})).items() if text}


def _network_of_lora(plan: TrainingPlan) -> dict[str, str]:
    arguments = {"targets": plan.targets, "train_text_encoder": plan.train_text_encoder}
    return {
        "ss_network_dim": str(plan.rank),
        "ss_network_alpha": str(plan.alpha),
        "ss_network_args": json.dumps(arguments),
    }


def tag_frequency(captions: Sequence[str]) -> dict[str, int]:
    """How often each comma-separated part stands in captions, the most frequent first.

    >>> tag_frequency(["sks cat, snow", "sks cat"])
    {'sks cat': 2, 'snow': 1}
    """
    parts = (part.strip() for caption in captions for part in caption.split(","))
    return dict(Counter(part for part in parts if part).most_common(MOST_TAGS))


def _own(plan: TrainingPlan, facts: Facts) -> str:
    """The plan to do it again with; what would tell of the user's files is left out."""
    settings: dict[str, Any] = {one.name: getattr(plan, one.name) for one in fields(plan) if one.name not in PRIVATE}
    known = {"data_hash": facts.data_hash, "step": facts.step, "pictures": len(facts.captions)}
    return json.dumps({"plan": settings} | known, ensure_ascii=False)
