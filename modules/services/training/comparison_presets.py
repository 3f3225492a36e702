"""What is compared: the methods as in Subject2Subject's table, and the ablations of DreamBooth (arXiv:2208.12242, §5.2).

An arm is a column of the table: the values in which its plan differs from the others'.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modules.core.training import TrainingPlan
from modules.core.training_fields import LONGEST_FILE_NAME
from modules.services.training.defaults import CLASS_NOUN, IDENTIFIER
from modules.services.training.presets import preset_values

INVERSION = "textual_inversion"
STARTER = "starter"
WRONG_NOUN, KNOWN_NOUNS = "[another]", ("clock", "dog")
STARTER_NOUNS = ("car", "cat")  # it knows no clocks


@dataclass(frozen=True, kw_only=True)
class Arm:
    """`arm`: its short name, in run names too. `preset`: whose values it begins with, or "". `changes`: plan fields."""

    arm: str
    label: str
    preset: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`pack`: the prompts that every arm is measured with. `starter`: values for the small model, by arm."""

    name: str
    label: str
    note: str
    pack: str
    arms: tuple[Arm, ...]
    starter: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])


# The starter's values are tuned, see docs/training-evidence.md.
ON_STARTER: Mapping[str, Any] = {"train_batch_size": 2}
WITH_PRIOR: Mapping[str, Any] = {
    "with_prior_preservation": True,
    "num_class_images": 48,
    "class_steps": 12,
    "class_cfg_scale": 5.0,
}
TRY_IT = preset_values("Try it (starter world)")
LORAS_OWN = (
    "method",
    "rank",
    "alpha",
    "targets",
    "learning_rate",
    "train_text_encoder",
    "text_encoder_lr",
    "max_train_steps",
)
METHODS = Comparison(
    name="subject2subject",
    label="Methods, as in Subject2Subject",
    note="Full fine-tuning, LoRA and textual inversion on the same pictures, measured with the report's 20 prompts and "
    "one common seed. On other models than the starter with the paper's own steps and learning rates.",
    pack="subject2subject",
    arms=(
        Arm(arm="ti", label="Textual inversion", preset="Paper: Subject2Subject textual inversion"),
        Arm(arm="full", label="Full fine-tuning", preset="Paper: Subject2Subject full-high"),
        Arm(arm="lora", label="LoRA", preset="Paper: Subject2Subject LoRA"),
    ),
    starter={
        "ti": {**ON_STARTER, "method": INVERSION, "num_vectors": 2, "learning_rate": 5e-3, "max_train_steps": 400},
        "full": {
            **ON_STARTER,
            **WITH_PRIOR,
            "method": "dreambooth",
            "learning_rate": 2e-4,
            "train_text_encoder": True,
            "text_encoder_lr": 5e-4,
            "max_train_steps": 300,
        },
        "lora": {
            **ON_STARTER,
            **WITH_PRIOR,
            **{name: TRY_IT[name] for name in LORAS_OWN},
        },
    },
)
PRIOR = Comparison(
    name="prior",
    label="With and without prior preservation",
    note="DreamBooth, figures 12 and 13: does every picture of the class become the subject, do backgrounds come back?",
    pack="quick",
    arms=(
        Arm(arm="naive", label="Without", changes={"with_prior_preservation": False}),
        Arm(arm="prior", label="With prior preservation", changes={"with_prior_preservation": True}),
    ),
    starter=dict.fromkeys(("naive", "prior"), METHODS.starter["full"]),
)
NOUNS = Comparison(
    name="class noun",
    label="No, wrong and right class noun",
    note="DreamBooth, figure 11: what the model knows of the class is a help, and of another one a hindrance.",
    pack="quick",
    arms=(
        Arm(arm="none", label="No class noun", changes={"class_noun": ""}),
        Arm(arm="wrong", label="Wrong class noun", changes={"class_noun": WRONG_NOUN}),
        Arm(arm="right", label="Right class noun"),
    ),
    starter=dict.fromkeys(("none", "wrong", "right"), METHODS.starter["full"]),
)
COMPARISONS = (METHODS, PRIOR, NOUNS)


def plan_of_arm(comparison: Comparison, arm: Arm, plan: TrainingPlan, seed: int, group: str) -> TrainingPlan:
    """What one arm trains with one seed. Prompts are left to the method, whose they are; whatever `plan` says of the
    rest holds for all arms."""
    starter = re.split(r"[.\s]", plan.model)[0] == STARTER
    own = comparison.starter.get(arm.arm, {}) if starter else preset_values(arm.preset)
    own = {name: value for name, value in own.items() if name != "class_noun"}
    changes = {**own, "preset": arm.preset if own and not starter else plan.preset, **arm.changes}
    if changes.get("class_noun") == WRONG_NOUN:
        nouns = STARTER_NOUNS if starter else KNOWN_NOUNS
        changes["class_noun"] = next(one for one in nouns if one != plan.class_noun)
    given = replace(plan, **changes)
    words = " ".join(part for part in (plan.identifier, plan.class_noun) if part)
    name = f"{plan.name or words or 'subject'}-{arm.arm}-{seed}"
    own_prompt = changes.get("instance_prompt") or _with_places(plan.instance_prompt, words, given.method)
    return replace(
        given,
        name=name[-LONGEST_FILE_NAME:],
        instance_prompt=own_prompt,
        captions=tuple(_with_places(one, words, given.method) for one in plan.captions),
        class_prompt=_class_prompt(given, plan),
        preview_every=plan.preview_every or -1,
        seed=seed,
        group=group,
        arm=arm.arm,
        evaluate=comparison.pack,
    )


def _with_places(text: str, words: str, method: str) -> str:
    """A text about the subject with places that the desk fills with each arm's own words.

    >>> _with_places("a photo of sks cat asleep", "sks cat", "lora")
    'a photo of [identifier] [class noun] asleep'
    """
    places = IDENTIFIER if method == INVERSION else f"{IDENTIFIER} {CLASS_NOUN}"
    return text.replace(words, places) if words else text


def _class_prompt(given: TrainingPlan, plan: TrainingPlan) -> str:
    """Without a class noun there is nothing to fill in: class pictures are still those of the right class."""
    usual = f"a photo of {plan.class_noun}" if given.with_prior_preservation and not given.class_noun else ""
    return given.class_prompt or usual
