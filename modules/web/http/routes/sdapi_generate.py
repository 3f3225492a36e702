"""`/sdapi/v1`: txt2img, and stopping it."""

import json
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from modules.core.errors import InvalidRequest
from modules.core.extension_points import Routes, hookimpl
from modules.imaging.grid import grid
from modules.imaging.metadata import MOST_PIXELS, open_picture, png_bytes
from modules.services.studio import Studio
from modules.storage.records import Job, Picture
from modules.web.http.answers import KnownFault
from modules.web.http.limits import new_router
from modules.web.http.people import Owner
from modules.web.http.sdapi import answer_of, info_of, record_of, request_of, their_problems
from modules.web.http.sdapi_body import Text2ImageBody
from modules.web.http.sdapi_settings import overrides_of

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

    @router.post("/txt2img", response_model=ImagesAnswer)
    async def txt2img(body: Text2ImageBody, request: Request, owner: Owner) -> Response:
        """Make pictures; answers when they are done. The job is durable: it goes on when the client leaves."""
        job = await run_in_threadpool(_accepted, studio, body, owner)
        if body.force_task_id:
            request.app.state.tasks.name(owner, body.force_task_id[:LONGEST_TASK], job.id)
        job = await _ended(studio, job.id)
        if job.state == "failed":
            raise KnownFault("JobFailed", job.sentence)
        return await run_in_threadpool(_answer, studio, body, job)

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


def _accepted(studio: Studio, body: Text2ImageBody, owner: str) -> Job:
    try:
        job = studio.desk.submit(request_of(body, studio), owner=owner)
    except InvalidRequest as error:
        raise their_problems(error) from error
    if body.override_settings and not body.said("override_settings_restore_afterwards"):
        studio.settings.set(overrides_of(body.override_settings, studio).values)
    return job


async def _ended(studio: Studio, job_id: str) -> Job:
    """Wait without holding a thread: forty waiting clients must not stop the page."""
    async with aclosing(studio.watch.changes(job_id)) as changes:  # pyright: ignore[reportArgumentType]
        async for live in changes:
            if live.job.over:
                return live.job
    return studio.queue.job(job_id)


def _answer(studio: Studio, body: Text2ImageBody, job: Job) -> Response:
    """In a thread: reading and encoding megabytes takes longer than the event loop may stand still."""
    pictures = studio.gallery.pictures(job=job.id)
    images = [studio.gallery.path(picture).read_bytes() for picture in pictures]
    sheet = _sheet(images, pictures) if body.save_images else []
    info = info_of(job, body, pictures, record_of(job, studio), has_grid=bool(sheet))
    return Response(json.dumps(answer_of(body, [*sheet, *images], info)), media_type="application/json")


def _sheet(images: Sequence[bytes], pictures: Sequence[Picture]) -> list[bytes]:
    """All pictures as one, with the text of the first; none of a single picture, nor of more than can be shown."""
    pixels = sum(picture.width * picture.height for picture in pictures)
    if len(images) < 2 or pixels > MOST_PIXELS:
        return []
    return [png_bytes(grid([open_picture(image) for image in images]), pictures[0].infotext)]
