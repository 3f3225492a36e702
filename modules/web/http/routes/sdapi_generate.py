"""`/sdapi/v1`: txt2img, img2img, and stopping them."""

from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.storage.records import Job
from modules.web.http.answers import KnownFault
from modules.web.http.limits import new_router
from modules.web.http.people import Owner
from modules.web.http.sdapi import accepted
from modules.web.http.sdapi_answer import answer
from modules.web.http.sdapi_body import Image2ImageBody, ImageBody, Text2ImageBody

LONGEST_TASK = 200


class ImagesAnswer(BaseModel):
    """Pictures as bare base64, the body as received, and a JSON text about what was made."""

    images: list[str]
    parameters: dict[str, Any]
    info: str


@hookimpl
def register_routes() -> list[Routes]:
    """With --api or --nowebui."""
    return [Routes(name="sdapi generate", build=build, api=True)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/sdapi/v1")
    _add_making(router, studio)

    @router.post("/interrupt")
    def interrupt(owner: Owner) -> dict[str, Any]:
        """Stop one's own running jobs within one step; their requests answer with what there is."""
        for job in studio.queue.jobs(states=("running",), owner=owner):
            studio.engines.interrupt(job.id, owner)
        return {}

    @router.post("/skip")
    def skip(owner: Owner) -> None:
        """Leave the current batch of one's own running jobs."""
        for job in studio.queue.jobs(states=("running",), owner=owner):
            studio.engines.skip(job.id)

    return router


def _add_making(router: APIRouter, studio: Studio) -> None:
    async def made(body: ImageBody, request: Request, owner: str) -> Response:
        job = await run_in_threadpool(accepted, studio, body, owner)
        if body.force_task_id:
            request.app.state.tasks.name(owner, body.force_task_id[:LONGEST_TASK], job.id)
        job = await ended(studio, job.id)
        if job.state == "failed":
            raise KnownFault("JobFailed", job.sentence)
        return await run_in_threadpool(answer, studio, body, job)

    @router.post("/txt2img", response_model=ImagesAnswer)
    async def txt2img(body: Text2ImageBody, request: Request, owner: Owner) -> Response:
        """Make pictures; answers when they are done. The job is durable: it goes on when the client leaves."""
        return await made(body, request, owner)

    @router.post("/img2img", response_model=ImagesAnswer)
    async def img2img(body: Image2ImageBody, request: Request, owner: Owner) -> Response:
        """Make pictures from pictures, or paint anew what a mask shows; see txt2img."""
        return await made(body, request, owner)


async def ended(studio: Studio, job_id: str) -> Job:
    """Wait without holding a thread: forty waiting clients must not stop the page."""
    async with aclosing(studio.watch.changes(job_id)) as changes:  # pyright: ignore[reportArgumentType]
        async for live in changes:
            if live.job.over:
                return live.job
    return studio.queue.job(job_id)
