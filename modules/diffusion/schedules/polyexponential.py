"""Noise levels whose logarithms fall as a power of the step: k-diffusion's generalisation of the geometric schedule."""

from collections.abc import Sequence

from modules.core.extension_points import Schedule, hookimpl
from modules.diffusion.levels import ends

RHO = 1.0


def polyexponential(
    steps: int, table: Sequence[float], *, sigma_min: float = 0.0, sigma_max: float = 0.0, rho: float = RHO
) -> list[float]:
    low, high = ends(table, sigma_min, sigma_max)
    ramp = [(1 - i / max(1, steps - 1)) ** rho for i in range(steps)]
    return [*(low * (high / low) ** part for part in ramp), 0.0]


@hookimpl
def register_schedules() -> list[Schedule]:
    options = ("sigma_min", "sigma_max", "rho")
    return [
        Schedule(
            name="Polyexponential", key="polyexponential", sigmas=polyexponential, default_rho=RHO, options=options
        )
    ]
