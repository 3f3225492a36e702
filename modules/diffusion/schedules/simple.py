"""Every k-th training level from the top, rounded down to whole timesteps: ComfyUI's "simple"."""

from collections.abc import Sequence

from modules.core.extension_points import Schedule, hookimpl


def simple(steps: int, table: Sequence[float]) -> list[float]:
    stride = len(table) / steps
    return [*(table[-1 - int(i * stride)] for i in range(steps)), 0.0]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(name="Simple", key="simple", sigmas=simple)]
