"""The job kind "edit": pictures from a picture."""

from modules.core.extension_points import JobKind, hookimpl
from modules.core.requests import EditRequest
from modules.engine import generate


@hookimpl
def register_job_kinds() -> list[JobKind]:
    return [JobKind(name="edit", request=EditRequest, run=generate.run)]
