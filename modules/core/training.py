"""A training as somebody asks for it, and what it says of itself while it runs."""

from dataclasses import dataclass

from modules.core.errors import InvalidRequest, Problem
from modules.core.fields import check, shown
from modules.core.training_fields import (
    MOST_PICTURES,
    DataFields,
    LossFields,
    MemoryFields,
    NetworkFields,
    OptimizerFields,
    PreviewFields,
    PriorFields,
    SavingFields,
    SubjectFields,
)

FORMATS = (
    "kohya",
    "peft",
    "checkpoint",
    "diffusers",
    "pt",
    "embedding",
)  # of results; which fit is the method's to say
TRAINER_KINDS = ("train", "evaluate")  # of jobs: done by the trainer, all others by the drawing engines
GREEN, AMBER, RED = "green", "amber", "red"  # good to know, better not, cannot be
LEVELS = (GREEN, AMBER, RED)
WISHES = ("sample", "save", "finish")  # what a running training may be asked for, see events.Steer


@dataclass(frozen=True, kw_only=True)
class TrainingPlan(
    SavingFields,
    PreviewFields,
    MemoryFields,
    LossFields,
    NetworkFields,
    OptimizerFields,
    PriorFields,
    DataFields,
    SubjectFields,
):
    """Teach a model a subject. Complete when it is queued: same plan, same pictures, same weights (on a CPU bit for bit).

    `run`: the run to go on with, "" for a new one, whose id is the job's. `dry`: only measure a few steps. `preset`: the
    name of the preset it began from. `group`, `arm`: the comparison it is part of, and which of its columns. `evaluate`:
    "" or how thoroughly to measure the result ("quick", "full"; see EvaluationRequest).
    """

    run: str = ""
    dry: bool = False
    preset: str = ""
    group: str = ""
    arm: str = ""
    evaluate: str = shown(
        "", "Evaluate", options=("", "quick", "full", "subject2subject"), help="Measure the result afterwards."
    )
    save: bool = True

    @property
    def images(self) -> int:
        """The result is files; previews lie in the run's folder."""
        return 0

    @property
    def inputs(self) -> tuple[str, ...]:
        """The subject's pictures, then own class pictures."""
        return (*self.pictures, *self.class_pictures)

    def checked(self) -> "TrainingPlan":
        """This plan. Raises InvalidRequest with every field that cannot be."""
        check(self)
        if not self.pictures and not self.run:
            raise InvalidRequest(Problem(field="pictures", message="There are no pictures to learn from; add 3 to 20."))
        if len(self.pictures) > MOST_PICTURES:
            message = f"There are {len(self.pictures):,} pictures; at most {MOST_PICTURES:,} can be trained on."
            raise InvalidRequest(Problem(field="pictures", message=message))
        for name in ("names", "captions", "crops"):
            if len(getattr(self, name)) not in (0, len(self.pictures)):
                message = f"There are {len(getattr(self, name))} {name} for {len(self.pictures)} pictures."
                raise InvalidRequest(Problem(field=name, message=message))
        unknown = [one for one in self.formats if one not in FORMATS]
        if unknown:
            message = f"{unknown[0]!r} is no format; known are {', '.join(FORMATS)}."
            raise InvalidRequest(Problem(field="formats", message=message))
        if self.with_prior_preservation and self.class_source == "own" and not self.class_pictures:
            raise InvalidRequest(Problem(field="class_pictures", message="Add class pictures, or let them be made."))
        return self


@dataclass(frozen=True, kw_only=True)
class Remark:
    """Something about a plan's pictures or words before it starts. `kind`: a key for programs, what several have in common."""

    level: str
    kind: str
    message: str


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """Measure a run's result (`snapshot`: a step, -1 the last). `pictures`: drawn for each prompt.

    `pack`: which prompts and measures: "quick", "full", "subject2subject" (its 20 prompts).
    """

    run: str = ""
    snapshot: int = -1
    pack: str = shown("quick", "Prompts", options=("quick", "full", "subject2subject"), help="What is drawn.")
    pictures: int = shown(8, "Pictures a prompt", minimum=1, maximum=200, step=1, help="More is surer and slower.")
    seed: int = shown(1, "Seed", minimum=0, maximum=2**32 - 1, step=1, help="Of the first picture of each prompt.")
    model: str = ""
    save: bool = True

    @property
    def images(self) -> int:
        """The result is a table in the run's folder."""
        return 0

    @property
    def inputs(self) -> tuple[str, ...]:
        """None: the run keeps its pictures."""
        return ()

    def checked(self) -> "EvaluationRequest":
        """This request. Raises InvalidRequest."""
        check(self)
        if not self.run:
            raise InvalidRequest(Problem(field="run", message="Say which run is to be measured."))
        return self


@dataclass(frozen=True, kw_only=True)
class TrainingNumbers:
    """One optimizer step: a line of a run's `log.jsonl`. `step` counts from 1. Losses are means over the step's batches.

    `prior_loss` is None without prior preservation; `loss` = instance_loss + prior_loss_weight · prior_loss (eq. 2).
    `seconds`: since the training began, pauses and previews left out. `memory`: bytes.
    """

    step: int
    steps: int
    epoch: float
    loss: float
    instance_loss: float
    prior_loss: float | None
    learning_rate: float
    grad_norm: float
    seconds: float
    memory: int = 0
