"""Levels optimised for ten steps of Stable Diffusion: Sabour et al. 2024, arXiv:2404.14507; the values are its project page's.

Other numbers of steps take levels in between, linear in log sigma, as the page recommends.
"""

from collections.abc import Sequence

from modules.core.extension_points import Schedule, hookimpl
from modules.diffusion.denoiser import sigma_at

SD1 = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)
SDXL = (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029)


def align_your_steps(steps: int, table: Sequence[float], *, sdxl: bool = False) -> list[float]:
    """`table` has no effect: the levels are those of the models they were found for."""
    known = SDXL if sdxl else SD1
    places = [i / max(1, steps - 1) * (len(known) - 1) for i in range(steps)]
    return [*(sigma_at(place, known) for place in places), 0.0]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(name="Align Your Steps", key="align_your_steps", sigmas=align_your_steps, options=("sdxl",))]
