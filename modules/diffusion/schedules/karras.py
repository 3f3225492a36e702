"""Noise levels whose 7th roots are evenly spaced: Karras et al. 2022, arXiv:2206.00364, eq. 5."""

from collections.abc import Sequence

from modules.core.extension_points import Schedule, hookimpl
from modules.diffusion.levels import ends

RHO = 7.0
LOWEST_RHO = 0.05  # roots below overflow


def karras(
    steps: int, table: Sequence[float], *, sigma_min: float = 0.0, sigma_max: float = 0.0, rho: float = RHO
) -> list[float]:
    rho = max(rho, LOWEST_RHO)
    low, high = (sigma ** (1 / rho) for sigma in ends(table, sigma_min, sigma_max))
    levels = [(high + i / max(1, steps - 1) * (low - high)) ** rho for i in range(steps)]
    return [*levels, 0.0]


@hookimpl
def register_schedules() -> list[Schedule]:
    options = ("sigma_min", "sigma_max", "rho")
    return [Schedule(name="Karras", key="karras", sigmas=karras, default_rho=RHO, options=options)]
