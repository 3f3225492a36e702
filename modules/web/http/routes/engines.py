"""`/api/v1/engines`: what the engines do, for the line at the top of the page."""

from typing import Any

from fastapi import APIRouter

from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.web.http.limits import new_router
from modules.web.http.people import Owner
from modules.web.http.views import engine_view


@hookimpl
def register_routes() -> list[Routes]:
    """Always served."""
    return [Routes(name="engines", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/api/v1/engines")

    @router.get("")
    def engines(owner: Owner) -> dict[str, Any]:
        """Every engine, and how many jobs of all people wait and run; which job an engine has is told to its owner."""
        running = studio.queue.jobs(states=("running",))
        mine = {job.id for job in running if job.owner == owner}
        views = [engine_view(state, mine) for state in studio.engines.states()]
        return {"engines": views, "waiting": studio.queue.waiting(), "running": len(running)}

    return router
