"""Noise levels whose 7th roots are evenly spaced: Karras et al. 2022, arXiv:2206.00364, eq. 5."""

from collections.abc import Sequence

from modules.core.extension_points import Schedule, hookimpl

RHO = 7.0


def karras(steps: int, table: Sequence[float]) -> list[float]:
    low, high = table[0] ** (1 / RHO), table[-1] ** (1 / RHO)
    levels = [(high + i / max(1, steps - 1) * (low - high)) ** RHO for i in range(steps)]
    return [*levels, 0.0]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(name="Karras", key="karras", sigmas=karras, default_rho=RHO)]
