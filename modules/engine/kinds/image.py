"""The job kind "image": pictures from text."""

from modules.core.extension_points import JobKind, hookimpl
from modules.core.requests import ImageRequest
from modules.engine import generate


@hookimpl
def register_job_kinds() -> list[JobKind]:
    return [JobKind(name="image", request=ImageRequest, run=generate.run)]
