"""Every k-th training timestep, beginning at 1: Song et al. 2020, arXiv:2010.02502, appendix D.2, as Stable Diffusion has it."""

from collections.abc import Sequence

from modules.core.extension_points import Schedule, hookimpl


def ddim_timesteps(steps: int, table: Sequence[float]) -> list[int]:
    """Ascending; more than asked for come back when `steps` does not divide the number of training timesteps."""
    last = len(table) - 1
    return [min(first + 1, last) for first in range(0, len(table), max(1, len(table) // steps))]


def ddim_sigmas(steps: int, table: Sequence[float]) -> list[float]:
    return [*(table[timestep] for timestep in reversed(ddim_timesteps(steps, table))), 0.0]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(name="DDIM", key="ddim", sigmas=ddim_sigmas)]
