"""Evenly spaced timesteps that stop one stride above the lowest: "trailing", Lin et al. 2023, arXiv:2305.08891, Table 2."""

from collections.abc import Sequence

from modules.core.extension_points import Schedule, hookimpl
from modules.diffusion.denoiser import sigma_at, timestep_at
from modules.diffusion.levels import ends


def sgm_uniform(steps: int, table: Sequence[float], *, sigma_min: float = 0.0, sigma_max: float = 0.0) -> list[float]:
    last, first = (timestep_at(sigma, table) for sigma in ends(table, sigma_min, sigma_max))
    timesteps = [first + i / steps * (last - first) for i in range(steps)]
    return [*(sigma_at(timestep, table) for timestep in timesteps), 0.0]


@hookimpl
def register_schedules() -> list[Schedule]:
    options = ("sigma_min", "sigma_max")
    return [Schedule(name="SGM Uniform", key="sgm_uniform", sigmas=sgm_uniform, options=options)]
