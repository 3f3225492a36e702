"""`/api/v1/jobs`: what one's own jobs do, live; stop, skip, take out."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.services.watch import Live
from modules.web.http.limits import new_router
from modules.web.http.people import Client, Owner
from modules.web.http.streams import HEARTBEAT, EventStream, News, OpenStreams
from modules.web.http.views import job_in_full, job_view, live_view

MOST_LISTED = 200
NEVER_STORED = {"Cache-Control": "no-store"}


@hookimpl
def register_routes() -> list[Routes]:
    """Always served: the page lives on them."""
    return [Routes(name="jobs", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/api/v1/jobs")
    _add_looking(router, studio)
    _add_live(router, studio)
    _add_stopping(router, studio)
    return router


def _add_looking(router: APIRouter, studio: Studio) -> None:
    @router.get("")
    def some(owner: Owner, recent: Annotated[int, Query(ge=0, le=MOST_LISTED)] = 0) -> list[dict[str, Any]]:
        """One's own jobs: those that wait or run, oldest first; with `recent` that many of any state, newest first."""
        if recent:
            jobs = studio.queue.jobs(owner=owner, limit=recent)
        else:
            unfinished = studio.queue.jobs(states=("running", "waiting"), owner=owner, limit=MOST_LISTED)
            jobs = tuple(reversed(unfinished))
        return [live_view(studio.watch.live(job.id)) for job in jobs]

    @router.get("/{job_id}")
    def one(job_id: str, owner: Owner) -> dict[str, Any]:
        """One job with its request and its pictures."""
        return job_in_full(studio.watch.live(job_id, owner))


def _add_live(router: APIRouter, studio: Studio) -> None:
    streams = OpenStreams()

    @router.get("/{job_id}/preview.jpg")
    def preview(job_id: str, owner: Owner) -> Response:
        """The newest preview of a running job; no content while there is none.

        Not 404: a page that asks just when the job ends would find an error in its console.
        """
        content = studio.watch.live(job_id, owner).preview
        if content is None:
            return Response(status_code=204, headers=NEVER_STORED)
        return Response(content, media_type="image/jpeg", headers=NEVER_STORED)

    @router.get("/{job_id}/events")
    def events(job_id: str, owner: Owner, client: Client) -> Response:
        """Server-sent events: the job's state at each change, at the end once more as an event named `end`."""
        studio.queue.job(job_id, owner)
        return EventStream(_news(studio, job_id, owner), streams, client)


async def _news(studio: Studio, job_id: str, owner: str) -> AsyncGenerator[News, None]:
    last: Live | None = None
    async with aclosing(studio.watch.changes(job_id, owner, HEARTBEAT)) as changes:  # pyright: ignore
        async for live in changes:
            yield None if live == last else ("", live_view(live))
            last = live
    if last is not None:
        yield "end", live_view(last)


def _add_stopping(router: APIRouter, studio: Studio) -> None:
    @router.post("/{job_id}/interrupt")
    def interrupt(job_id: str, owner: Owner) -> dict[str, Any]:
        """Stop within one step and keep what has been made; a waiting job is taken out."""
        return job_view(studio.engines.interrupt(job_id, owner))

    @router.post("/{job_id}/skip")
    def skip(job_id: str, owner: Owner) -> dict[str, Any]:
        """Leave the current batch of a running job."""
        job = studio.queue.job(job_id, owner)
        studio.engines.skip(job.id)
        return job_view(job)

    @router.post("/{job_id}/cancel")
    def cancel(job_id: str, owner: Owner) -> dict[str, Any]:
        """Take a job out, running or not."""
        return job_view(studio.queue.cancel(job_id, owner))
