"""Evenly spaced timesteps, the last training timestep first: Ho et al. 2020, arXiv:2006.11239, thinned out."""

from collections.abc import Sequence

from modules.core.extension_points import Schedule, hookimpl
from modules.diffusion.denoiser import sigma_at


def uniform(steps: int, table: Sequence[float]) -> list[float]:
    last = len(table) - 1
    timesteps = [last * (1 - i / max(1, steps - 1)) for i in range(steps)]
    return [*(sigma_at(timestep, table) for timestep in timesteps), 0.0]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(name="Uniform", key="uniform", sigmas=uniform)]
