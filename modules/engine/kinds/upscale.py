"""The job kind "upscale": pictures made larger."""

from modules.core.extension_points import JobKind, hookimpl
from modules.core.requests import UpscaleRequest
from modules.engine import upscale


@hookimpl
def register_job_kinds() -> list[JobKind]:
    return [JobKind(name="upscale", request=UpscaleRequest, run=upscale.run)]
