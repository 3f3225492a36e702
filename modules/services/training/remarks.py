"""What a training's plan is told before it starts, beside its pictures: words, numbers, captions; with a way to mend each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from modules.core.events import Choice
from modules.core.training import AMBER, GREEN, TrainingPlan
from modules.prompts import rare_tokens
from modules.prompts.tokens import Tokenizer
from modules.services.training.defaults import INVERSION, holds
from modules.services.training.texts import captions_with, own_captions, subject_words, with_identifier

LONGEST_WARM_UP = 0.3  # of the steps
FAR = 10.0  # times the usual learning rate, or a tenth of it
FEW, MOST_SEEN = 3, 400  # pictures; times each is seen
ROOM = 75  # tokens of a caption that are read
WHOLE = ("dreambooth", "custom_diffusion")


@dataclass(frozen=True, kw_only=True)
class Fix:
    """`changes`: fields of the plan and their new values."""

    label: str
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something about a plan. `level`: green is good to know, amber better not, red cannot be started."""

    field: str
    message: str
    level: str = AMBER
    fix: Fix | None = None


def of_words(plan: TrainingPlan, tokenizer: Tokenizer) -> Iterator[Finding]:
    """Identifier and class noun: §4.1 of the DreamBooth paper. `plan` is complete."""
    word, where = (plan.name, "name") if plan.method == INVERSION else (plan.identifier, "identifier")
    for one in rare_tokens.remarks(word, tokenizer) if word or plan.method != INVERSION else []:
        if where == "name" and one.kind in ("pieces", "letters", "known"):
            continue  # an embedding's name is not read as tokens, it is replaced
        fix = _rarer(plan, tokenizer) if one.level != GREEN and where == "identifier" else None
        yield Finding(field=where, message=one.message, level=one.level, fix=fix)
    if not plan.class_noun and plan.method != INVERSION:
        message = "Without a class noun (cat, dog, person) learning takes longer and looks worse."
        yield Finding(field="class_noun", message=message)
    elif plan.class_noun and plan.method != INVERSION and not holds(plan.instance_prompt, plan.class_noun):
        message = f"The instance prompt {plan.instance_prompt[:80]!r} does not say {plan.class_noun!r}."
        fix = Fix(label="Compose it again", changes={"instance_prompt": ""})
        yield Finding(field="instance_prompt", message=message, fix=fix)
    if plan.with_prior_preservation and plan.identifier and holds(plan.class_prompt, plan.identifier):
        message = f"The class prompt holds {plan.identifier!r}: class pictures should not show your subject."
        fix = Fix(label="Leave it out", changes={"class_prompt": f"a photo of {plan.class_noun}"})
        yield Finding(field="class_prompt", message=message, fix=fix)


def _rarer(plan: TrainingPlan, tokenizer: Tokenizer) -> Fix:
    """Another identifier, the same one each time somebody asks."""
    (other,) = rare_tokens.suggestions(rare_tokens.rare_tokens(tokenizer), 1, seed=len(plan.pictures))
    changes: dict[str, Any] = {"identifier": other}
    if plan.identifier and holds(plan.instance_prompt, plan.identifier):
        changes["instance_prompt"] = with_identifier(plan.instance_prompt, plan.identifier, other)
        if any(plan.captions):
            changes["captions"] = [with_identifier(one, plan.identifier, other) for one in plan.captions]
    return Fix(label=f"Use {other!r}", changes=changes)


def of_captions(plan: TrainingPlan, tokenizer: Tokenizer) -> Iterator[Finding]:
    """Whether captions hold the identifier, name one thing, and are read to their end. `plan` is complete."""
    own = own_captions(plan)
    word = plan.name if plan.method == INVERSION else plan.identifier
    without = [one for one in own if word and not holds(one, word)]
    if without:
        message = f"{len(without)} of {len(own)} captions do not hold {word!r}, e.g. {without[0][:80]!r}."
        fix = Fix(
            label="Put it in front", changes={"captions": captions_with(plan.captions, word, subject_words(plan))}
        )
        yield Finding(field="captions", message=message, fix=fix)
    others = [one for one in own if plan.class_noun and not holds(one, plan.class_noun)]
    if others and len(others) < len(own):
        message = f"{len(others)} of {len(own)} captions do not say {plan.class_noun!r}; do they show something else?"
        yield Finding(field="captions", message=message, level=GREEN)
    kinds = folders_of(plan.names)
    if len(kinds) > 1:
        message = f"The pictures come from several folders ({', '.join(kinds[:5])}); one training teaches one subject."
        yield Finding(field="pictures", message=message)
    long = [one for one in own if len(tokenizer.encode(one)) > ROOM]
    if long:
        message = f"{len(long)} captions have more than {ROOM} tokens; the rest is not read."
        yield Finding(field="captions", message=message)


def folders_of(names: Sequence[str]) -> list[str]:
    """The folders that names of pictures speak of.

    >>> folders_of(["10_cat/a.png", "10_cat/b.png", "5_dog/a.png", "c.png"])
    ['10_cat', '5_dog']
    """
    return sorted({str(PurePosixPath(one).parent) for one in names if "/" in one})


def of_numbers(plan: TrainingPlan, method: Choice) -> Iterator[Finding]:
    """Steps, rates and the like. `plan` is complete."""
    steps = plan.max_train_steps
    if plan.lr_warmup_steps > LONGEST_WARM_UP * steps and plan.lr_scheduler != "constant":
        message = f"The learning rate rises over {plan.lr_warmup_steps} of {steps} steps; little is left to learn in."
        fix = Fix(label="A tenth of the steps", changes={"lr_warmup_steps": steps // 10})
        yield Finding(field="lr_warmup_steps", message=message, fix=fix)
    yield from _of_rate(plan, method)
    yield from _of_prior(plan)
    scale = plan.alpha / plan.rank
    if plan.method == "lora" and not 0.25 <= scale <= 4:
        message = f"Alpha / rank is {scale:.3g}: what is learned counts {'little' if scale < 1 else 'very much'}."
        fix = Fix(label="Alpha = rank", changes={"alpha": float(plan.rank)})
        yield Finding(field="alpha", message=message, fix=fix)


def _of_rate(plan: TrainingPlan, method: Choice) -> Iterator[Finding]:
    rate, usual = plan.learning_rate, method.value
    if plan.optimizer == "Prodigy":
        if rate != 1.0:
            fix = Fix(label="Set it to 1", changes={"learning_rate": 1.0, "text_encoder_lr": 0.0})
            message = f"Prodigy finds its rate itself: the learning rate should be 1, not {rate:g}."
            yield Finding(field="learning_rate", message=message, fix=fix)
    elif usual and not usual / FAR <= rate * 1.000001 <= usual * FAR * 1.00001:
        what = "high: the model may fall apart" if rate > usual else "low: it may learn nothing"
        message = f"A learning rate of {rate:g} is {what}; {usual:g} is usual for this method."
        yield Finding(
            field="learning_rate", message=message, fix=Fix(label=f"Use {usual:g}", changes={"learning_rate": 0.0})
        )


def _of_prior(plan: TrainingPlan) -> Iterator[Finding]:
    if plan.method in WHOLE and not plan.with_prior_preservation:
        message = "Without prior preservation every picture of the class becomes your subject."
        fix = Fix(label="Switch it on", changes={"with_prior_preservation": True, "prior_loss_weight": 1.0})
        yield Finding(field="with_prior_preservation", message=message, fix=fix)
    if plan.method == INVERSION and plan.with_prior_preservation:
        message = "Prior preservation does nothing for an embedding: nothing else of the model changes."
        fix = Fix(label="Switch it off", changes={"with_prior_preservation": False})
        yield Finding(field="with_prior_preservation", message=message, fix=fix)


def of_length(plan: TrainingPlan, epochs: float) -> Iterator[Finding]:
    """Too few pictures, or each too often. `epochs`: how often each is seen."""
    if 0 < len(plan.pictures) < FEW:
        message = f"There {'is one picture' if len(plan.pictures) == 1 else 'are two pictures'}; 3 to 20 work best."
        yield Finding(field="pictures", message=message)
    if epochs > MOST_SEEN and plan.method != INVERSION:
        message = f"Each picture is seen {epochs:.0f} times; the model may learn to repeat it."
        fix = Fix(label="The usual number", changes={"max_train_steps": 0})
        yield Finding(field="max_train_steps", message=message, fix=fix)


def of_resolution(plan: TrainingPlan, side: int) -> Iterator[Finding]:
    """`side`: what the checkpoint was trained at."""
    if not side / 2 < plan.resolution <= side * 1.5:
        message = f"The checkpoint was trained at {side} pixels; at {plan.resolution} it draws badly."
        fix = Fix(label=f"Use {side}", changes={"resolution": 0})
        yield Finding(field="resolution", message=message, fix=fix)
