"""`/internal/sysinfo`: what somebody who is asked for help wants to know of this server. No secrets."""

import platform
from dataclasses import asdict
from typing import Any

import psutil
from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.web.http.limits import new_router
from modules.web.http.views import engine_view, flags_view


@hookimpl
def register_routes() -> list[Routes]:
    """Always served."""
    return [Routes(name="sysinfo", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/internal")

    @router.get("/sysinfo")
    def sysinfo() -> dict[str, Any]:
        """Machine, command line, settings, engines, models and extensions."""
        return _told(studio)

    @router.get("/sysinfo-download")
    def sysinfo_download() -> Response:
        """The same as a file."""
        return JSONResponse(_told(studio), headers={"Content-Disposition": 'attachment; filename="sysinfo.json"'})

    @router.get("/profile-startup")
    def profile_startup() -> dict[str, Any]:
        """The start is not measured."""
        return {"total": 0.0, "records": {}}

    return router


def _told(studio: Studio) -> dict[str, Any]:
    memory = psutil.virtual_memory()
    return {
        "Platform": platform.platform(),
        "Python": platform.python_version(),
        "CPU": {"model": platform.processor(), "count": psutil.cpu_count()},
        "RAM": {"total": memory.total, "available": memory.available},
        "Commandline": flags_view(studio.flags),
        "Config": studio.settings.all(),
        "Engines": [engine_view(state, ()) for state in studio.engines.states()],
        "Models": [record.title for record in studio.library.models()],
        "Extensions": [asdict(report) for report in studio.extensions.reports()],
        "Waiting": studio.queue.waiting(),
    }
