"""The job kind "merge": a new checkpoint from others."""

from modules.core.extension_points import JobKind, hookimpl
from modules.core.requests import MergeRequest
from modules.engine import merge


@hookimpl
def register_job_kinds() -> list[JobKind]:
    return [JobKind(name="merge", request=MergeRequest, run=merge.run)]
