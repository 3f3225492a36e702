"""Evenly spaced arc tangents, the best levels for a Gaussian: Sabour et al. 2024, arXiv:2404.14507, Theorem 3.1.

It ends on the lowest level, not on 0.
"""

import math
from collections.abc import Sequence

from modules.core.extension_points import Schedule, hookimpl
from modules.diffusion.levels import ends


def kl_optimal(steps: int, table: Sequence[float], *, sigma_min: float = 0.0, sigma_max: float = 0.0) -> list[float]:
    last, first = (math.atan(sigma) for sigma in ends(table, sigma_min, sigma_max))
    return [math.tan(first + i / steps * (last - first)) for i in range(steps + 1)]


@hookimpl
def register_schedules() -> list[Schedule]:
    options = ("sigma_min", "sigma_max")
    return [Schedule(name="KL Optimal", key="kl_optimal", sigmas=kl_optimal, options=options)]
