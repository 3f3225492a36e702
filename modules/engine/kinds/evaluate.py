"""The job kind "evaluate": how good a training's result is."""

from modules.core.extension_points import JobKind, hookimpl
from modules.core.training import EvaluationRequest
from modules.engine import evaluate


@hookimpl
def register_job_kinds() -> list[JobKind]:
    return [JobKind(name="evaluate", request=EvaluationRequest, run=evaluate.run)]
