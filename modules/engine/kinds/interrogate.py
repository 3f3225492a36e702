"""The job kind "interrogate": words for a picture."""

from modules.core.extension_points import JobKind, hookimpl
from modules.core.requests import InterrogateRequest
from modules.engine import interrogate


@hookimpl
def register_job_kinds() -> list[JobKind]:
    return [JobKind(name="interrogate", request=InterrogateRequest, run=interrogate.run)]
