"""The job kind "train": a model learns a subject."""

from modules.core.extension_points import JobKind, hookimpl
from modules.core.training import TrainingPlan
from modules.engine.training import run


@hookimpl
def register_job_kinds() -> list[JobKind]:
    return [JobKind(name="train", request=TrainingPlan, run=run.run)]
