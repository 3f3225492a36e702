"""The job kind "evaluate": how good a training's result is."""

from modules.core.extension_points import JobKind, hookimpl
from modules.core.training import EvaluationRequest
from modules.engine.job import JobContext


def run(request: EvaluationRequest, context: JobContext) -> None:
    """See `engine/evaluate.py`, which is imported late: torchmetrics takes a second, and few engines ever measure."""
    from modules.engine import evaluate

    evaluate.run(request, context)


@hookimpl
def register_job_kinds() -> list[JobKind]:
    return [JobKind(name="evaluate", request=EvaluationRequest, run=run)]
