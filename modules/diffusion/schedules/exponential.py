"""Noise levels whose logarithms are evenly spaced: geometric, as in Song et al. 2020, arXiv:2011.13456, appendix C."""

from collections.abc import Sequence

from modules.core.extension_points import Schedule, hookimpl
from modules.diffusion.schedules.polyexponential import polyexponential


def exponential(steps: int, table: Sequence[float], *, sigma_min: float = 0.0, sigma_max: float = 0.0) -> list[float]:
    return polyexponential(steps, table, sigma_min=sigma_min, sigma_max=sigma_max, rho=1.0)


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(name="Exponential", key="exponential", sigmas=exponential, options=("sigma_min", "sigma_max"))]
