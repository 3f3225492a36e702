"""A plan looked at before it starts: what would stop it, what would spoil it, and a way to mend each with one click."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modules.core.errors import AtelierError, InvalidRequest, NoModel, UnknownName
from modules.core.events import Choice
from modules.core.fields import check
from modules.core.requests import ImageRequest, ModelRecord
from modules.core.training import AMBER, RED, TrainingPlan
from modules.core.training_fields import MOST_PICTURES
from modules.prompts import rare_tokens
from modules.prompts.tokens import Tokenizer
from modules.services.inputs import Inputs
from modules.services.studio import Studio
from modules.services.training import remarks
from modules.services.training.class_pictures import ClassPictures, ClassSet
from modules.services.training.defaults import (
    INVERSION,
    pictures_a_step,
    resolved_plan,
    usual_steps,
)
from modules.services.training.estimates import Estimate, estimate, in_words
from modules.services.training.models import why_not
from modules.services.training.picture_remarks import of_pictures
from modules.services.training.pictures import PictureLooker, Seen, worst
from modules.services.training.remarks import Finding, Fix

NOWHERE = ModelRecord(name="", path="", title="", size=0, modified=0)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """`plan`: the complete one, or what of it could be worked out. `problems`: the worst first."""

    plan: TrainingPlan
    model: ModelRecord
    problems: tuple[Finding, ...]
    pictures: tuple[Seen, ...]
    token: rare_tokens.Split
    warnings: tuple[str, ...]
    estimate: Estimate | None
    class_missing: int = 0  # class pictures that are still to be made

    @property
    def level(self) -> str:
        """Red: it cannot be started."""
        return worst([one.level for one in self.problems])


class Checker:
    """Checks plans; changes nothing. Safe from any thread.

    `model(name)`: the checkpoint of that name, the current one for "". `methods()`: the engine's catalogue.
    `class_sets()`: the class pictures that are there.
    """

    def __init__(
        self,
        model: Callable[[str], ModelRecord],
        methods: Callable[[], tuple[Choice, ...]],
        inputs: Inputs,
        class_sets: Callable[[], Sequence[ClassSet]] = tuple,
    ) -> None:
        self._find, self._methods, self._class_sets = model, methods, class_sets
        self._looker = PictureLooker(inputs)

    def checked(self, plan: TrainingPlan, tokenizer: Tokenizer, outputs: Path) -> Checked:
        """What is to be said of a plan, however incomplete or wrong it is."""
        model, findings = self._model(plan)
        complete, wrong = self._complete(plan, model)
        method = next((one for one in self._methods() if one.name == complete.method), Choice(name=complete.method))
        pictures = self._looker.pictures(complete, complete.resolution)
        known = estimate(complete, model.size, outputs) if model.size else None
        findings += [*wrong, *(of_pictures(complete, pictures) if complete.pictures or not plan.pictures else ())]
        findings += [*self._of_class(complete), *_of_disk(known, complete)]
        if not wrong:
            findings += [
                *remarks.of_words(complete, tokenizer),
                *remarks.of_captions(complete, tokenizer),
                *remarks.of_numbers(complete, method),
                *remarks.of_length(complete, epochs_of(complete)),
                *(remarks.of_resolution(complete, min(model.width, model.height)) if model.title else ()),
            ]
        said = rare_tokens.remarks(complete.identifier, tokenizer) if complete.method != INVERSION else []
        return Checked(
            plan=complete,
            model=model,
            problems=tuple(sorted(findings, key=lambda one: -_rank(one.level))),
            pictures=tuple(pictures),
            token=rare_tokens.split(word_of(complete), tokenizer),
            warnings=tuple(one.message for one in said),
            estimate=known,
            class_missing=missing_pictures(complete, model, self._class_sets())
            if makes_class_pictures(complete)
            else 0,
        )

    def _model(self, plan: TrainingPlan) -> tuple[ModelRecord, list[Finding]]:
        try:
            found = self._find(plan.model)
        except (UnknownName, NoModel) as error:
            return NOWHERE, [Finding(field="model", message=_sentence(error), level=RED)]
        reason = found.problem or why_not(found)
        return found, [Finding(field="model", message=reason, level=RED)] if reason else []

    def _complete(self, plan: TrainingPlan, model: ModelRecord) -> tuple[TrainingPlan, list[Finding]]:
        """The complete plan and why it could not be completed."""
        wrong = [*_of_fields(plan), *_of_lists(plan)]
        if not wrong:
            try:
                return resolved_plan(plan, model, self._methods()), []
            except InvalidRequest as error:
                wrong = [Finding(field=one.field, message=one.message, level=RED) for one in error.problems]
                wrong = [replace(one, fix=_mend(one.field)) for one in wrong]
        return _guessed(plan, model, wrong), wrong

    def _of_class(self, plan: TrainingPlan) -> Iterator[Finding]:
        if not plan.with_prior_preservation or plan.class_source != "own":
            return
        if not plan.class_pictures:
            fix = Fix(label="Let them be made", changes={"class_source": "generate"})
            message = "There are no class pictures; add some, or let them be made."
            yield Finding(field="class_pictures", message=message, level=RED, fix=fix)
        bad = self._looker.unreadable(plan.class_pictures)
        if bad:
            kept = [id for id in plan.class_pictures if id not in bad]
            fix = Fix(label="Remove them", changes={"class_pictures": kept})
            message = f"{len(bad)} class pictures cannot be read, or are not stored here any more."
            yield Finding(field="class_pictures", message=message, level=RED, fix=fix)


def checker_of(studio: Studio) -> Callable[[TrainingPlan], Checked]:
    """A function that checks plans for one server."""

    def model(name: str) -> ModelRecord:
        return studio.library.find(name) if name else studio.desk.current_model()

    sets = ClassPictures(studio.places.training)
    checker = Checker(model, lambda: studio.catalogue.now().training_methods, studio.inputs, sets.sets)
    return lambda plan: checker.checked(plan, studio.tokens.tokenizer, studio.places.outputs)


def word_of(plan: TrainingPlan) -> str:
    """The word that will stand for the subject: the identifier, or an embedding's name."""
    return plan.name if plan.method == INVERSION else plan.identifier


def makes_class_pictures(plan: TrainingPlan) -> bool:
    """Whether the base model draws pictures of the class before the training."""
    return plan.with_prior_preservation and plan.class_source == "generate"


def missing_pictures(plan: TrainingPlan, model: ModelRecord, sets: Sequence[ClassSet]) -> int:
    """How many class pictures are not there yet from an earlier training with the same model, prompt and sampler."""
    wanted: dict[str, Any] = {
        "prompt": plan.class_prompt,
        "sampler": plan.class_sampler,
        "steps": plan.class_steps,
        "cfg_scale": plan.class_cfg_scale or ImageRequest().cfg_scale,
        "width": plan.resolution,
        "height": plan.resolution,
        **({"sha256": model.sha256} if model.sha256 else {"name": model.name}),
    }
    same = (one for one in sets if all(one.about.get(name) == value for name, value in wanted.items()))
    places = range(plan.class_seed, plan.class_seed + 2 * plan.num_class_images)  # some may have been thrown out
    there = max((sum(seed in places for seed in one.seeds) for one in same), default=0)
    return max(0, plan.num_class_images - there)


def epochs_of(plan: TrainingPlan) -> float:
    """How often each picture is seen."""
    return plan.max_train_steps * pictures_a_step(plan) / max(1, len(plan.pictures))


def _rank(level: str) -> int:
    return {RED: 2, AMBER: 1}.get(level, 0)


def _sentence(error: AtelierError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def _of_fields(plan: TrainingPlan) -> list[Finding]:
    try:
        check(plan)
    except InvalidRequest as error:
        return [Finding(field=one.field, message=one.message, level=RED) for one in error.problems]
    return []


def _of_lists(plan: TrainingPlan) -> Iterator[Finding]:
    count = len(plan.pictures)
    if count > MOST_PICTURES:
        message = f"There are {count:,} pictures; at most {MOST_PICTURES:,} can be trained on."
        yield Finding(field="pictures", message=message, level=RED)
    for name in ("names", "captions", "crops"):
        if len(getattr(plan, name)) not in (0, count):
            message = f"There are {len(getattr(plan, name))} {name} for {count} pictures."
            yield Finding(field=name, message=message, level=RED, fix=Fix(label="Forget them", changes={name: []}))


def _mend(field: str) -> Fix | None:
    """What helps when a plan cannot be completed because of this field."""
    changes: dict[str, dict[str, Any]] = {
        "instance_prompt": {"instance_prompt": ""},
        "formats": {"formats": []},
        "method": {"method": "lora"},
    }
    labels = {"instance_prompt": "Compose it again", "formats": "The usual one", "method": "Use LoRA"}
    return Fix(label=labels[field], changes=changes[field]) if field in changes else None


def _guessed(plan: TrainingPlan, model: ModelRecord, wrong: Sequence[Finding]) -> TrainingPlan:
    """What of a plan can be told all the same: the fields that cannot be are as if nobody had touched them."""
    untouched, fields = TrainingPlan(), {one.field for one in wrong}
    if "pictures" in fields:
        fields |= {"pictures", "names", "captions", "crops"}
    plan = replace(plan, **{name: getattr(untouched, name) for name in fields})
    try:
        return resolved_plan(plan, model)
    except InvalidRequest:
        steps, side = plan.max_train_steps or usual_steps(plan), plan.resolution or min(model.width, model.height)
        return replace(plan, max_train_steps=steps, resolution=side)


def _of_disk(known: Estimate | None, plan: TrainingPlan) -> Iterator[Finding]:
    if known is None or known.disk <= known.free:
        return
    message = f"It needs about {in_words(known.disk)} on the disk, where {in_words(known.free)} are free; keep fewer snapshots or free some."
    fix = Fix(label="Keep one", changes={"keep_last": 1}) if plan.keep_last > 1 else None
    yield Finding(field="keep_last", message=message, level=RED, fix=fix)
