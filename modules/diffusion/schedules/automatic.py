"""The sampler's own schedule. `sample.schedule_for` puts that in its place; a sampler without one gets Uniform."""

from modules.core.extension_points import Schedule, hookimpl
from modules.diffusion.schedules.uniform import uniform


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(name="Automatic", key="automatic", sigmas=uniform)]
