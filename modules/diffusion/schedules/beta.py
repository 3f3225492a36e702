"""Noise levels at even quantiles of a Beta distribution: more steps at both ends; Lee et al. 2024, arXiv:2407.12173."""

from collections.abc import Sequence

from modules.core.extension_points import Schedule, hookimpl
from modules.diffusion.levels import ends
from modules.diffusion.quantiles import beta_quantiles

ALPHA = BETA = 0.6


def beta(
    steps: int,
    table: Sequence[float],
    *,
    sigma_min: float = 0.0,
    sigma_max: float = 0.0,
    beta_alpha: float = ALPHA,
    beta_beta: float = BETA,
) -> list[float]:
    low, high = ends(table, sigma_min, sigma_max)
    parts = beta_quantiles([1 - i / max(1, steps - 1) for i in range(steps)], beta_alpha, beta_beta)
    return [*(low + part * (high - low) for part in parts), 0.0]


@hookimpl
def register_schedules() -> list[Schedule]:
    options = ("sigma_min", "sigma_max", "beta_alpha", "beta_beta")
    return [Schedule(name="Beta", key="beta", sigmas=beta, options=options)]
