"""`/sdapi/v1/memory`: of this machine and of its CUDA devices."""

from collections.abc import Sequence
from typing import Any

import psutil
from fastapi import APIRouter

from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.services.supervisor import EngineState
from modules.web.http.limits import new_router


@hookimpl
def register_routes() -> list[Routes]:
    """With --api or --nowebui."""
    return [Routes(name="sdapi memory", build=build, api=True)]


def build(studio: Studio) -> APIRouter:
    """The route."""
    router = new_router("/sdapi/v1")

    @router.get("/memory")
    def memory() -> dict[str, Any]:
        """Bytes. `used` of the machine is what this server and its engines hold."""
        states = studio.engines.states()
        return {"ram": _ram(states), "cuda": _cuda(states)}

    return router


def _ram(states: Sequence[EngineState]) -> dict[str, Any]:
    total = psutil.virtual_memory().total
    used = sum(_resident(pid) for pid in [psutil.Process().pid, *(state.pid for state in states if state.pid)])
    return {"free": total - used, "used": used, "total": total}


def _resident(pid: int) -> int:
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0  # an engine that has just ended holds nothing


def _cuda(states: Sequence[EngineState]) -> dict[str, Any]:
    """What the engine says of its device: total and used. Finer counts live in its allocator and are not asked for."""
    device = next((state for state in states if state.device.startswith("cuda") and state.memory_total), None)
    if device is None:
        return {"error": "unavailable"}
    used, total = device.memory_used, device.memory_total
    held = {"current": used, "peak": used}
    return {
        "system": {"free": total - used, "used": used, "total": total},
        "active": held,
        "allocated": held,
        "reserved": held,
        "inactive": {"current": 0, "peak": 0},
        "events": {"retries": 0, "oom": 0},
    }
