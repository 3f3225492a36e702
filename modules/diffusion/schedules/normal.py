"""Evenly spaced timesteps, both ends included, between the levels asked for; with the model's own it is Uniform."""

from collections.abc import Sequence

from modules.core.extension_points import Schedule, hookimpl
from modules.diffusion.denoiser import sigma_at, timestep_at
from modules.diffusion.levels import ends


def normal(steps: int, table: Sequence[float], *, sigma_min: float = 0.0, sigma_max: float = 0.0) -> list[float]:
    last, first = (timestep_at(sigma, table) for sigma in ends(table, sigma_min, sigma_max))
    timesteps = [first + i / max(1, steps - 1) * (last - first) for i in range(steps)]
    return [*(sigma_at(timestep, table) for timestep in timesteps), 0.0]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(name="Normal", key="normal", sigmas=normal, options=("sigma_min", "sigma_max"))]
