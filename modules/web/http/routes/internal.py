"""`/internal`: what the field's own page asks its server, and so extensions' scripts do too."""

import base64
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from modules.core.errors import NotFound
from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.services.watch import Live
from modules.web.http.limits import new_router
from modules.web.http.people import Owner
from modules.web.http.tasks import Tasks

MOST_LISTED = 1000


class ProgressBody(BaseModel):
    """Which task, and the number of the preview one has already."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    id_task: str = ""
    id_live_preview: int = -1
    live_preview: bool = True


@hookimpl
def register_routes() -> list[Routes]:
    """Always served."""
    return [Routes(name="internal", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/internal")

    @router.get("/ping")
    def ping() -> dict[str, Any]:
        """Answers when the server is up."""
        return {}

    @router.post("/progress")
    def progress(body: ProgressBody, request: Request, owner: Owner) -> dict[str, Any]:
        """How far a task is; a task nobody knows is neither active, queued nor completed."""
        try:
            live = studio.watch.live(_tasks(request).job(owner, body.id_task), owner)
        except NotFound:
            return _flags(active=False, queued=False, completed=False, textinfo="Waiting...")
        return _progress(live, body, studio.queue.waiting())

    @router.get("/pending-tasks")
    def pending_tasks(request: Request, owner: Owner) -> dict[str, Any]:
        """One's own tasks that wait, first accepted first."""
        waiting = studio.queue.jobs(states=("waiting",), owner=owner, limit=MOST_LISTED)
        tasks = [_tasks(request).task(job.id) for job in reversed(waiting)]
        return {"size": len(tasks), "tasks": tasks}

    @router.get("/quicksettings-hint")
    def quicksettings_hint() -> list[dict[str, str]]:
        """Settings that can stand at the top of the page."""
        return [{"name": one.name, "label": one.label} for one in studio.settings.registered.values()]

    return router


def _tasks(request: Request) -> Tasks:
    tasks = request.app.state.tasks
    assert isinstance(tasks, Tasks)
    return tasks


def _progress(live: Live, body: ProgressBody, waiting: int) -> dict[str, Any]:
    job = live.job
    if job.state == "waiting":
        place = f"In queue: {live.ahead + 1}/{max(waiting, live.ahead + 1)}"
        return _flags(active=False, queued=True, completed=False, textinfo=place)
    if job.over:
        return _flags(active=False, queued=False, completed=True, textinfo=job.sentence or "Finished")
    answer = _flags(active=True, queued=False, completed=False, textinfo=live.doing or None)
    answer |= {"progress": live.fraction, "eta": live.eta}
    if body.live_preview and live.preview and live.preview_number != body.id_live_preview:
        picture = base64.b64encode(live.preview).decode()
        answer |= {"live_preview": f"data:image/jpeg;base64,{picture}", "id_live_preview": live.preview_number}
    return answer


def _flags(*, active: bool, queued: bool, completed: bool, textinfo: str | None) -> dict[str, Any]:
    state = {"active": active, "queued": queued, "completed": completed}
    return state | {"progress": None, "eta": None, "live_preview": None, "id_live_preview": -1, "textinfo": textinfo}
