"""`/api/v1/inputs`: pictures that people bring along to work on; a request names them by the ids answered here."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse, Response

from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.web.http.limits import new_router

FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}


@hookimpl
def register_routes() -> list[Routes]:
    """Always served: the page lives on them."""
    return [Routes(name="inputs", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/api/v1/inputs")

    @router.post("")
    async def keep(request: Request) -> dict[str, Any]:
        """Store the picture that is the body, or the first file of a form; answers its id and its size in pixels."""
        return asdict(await run_in_threadpool(studio.inputs.store, await _picture_in(request)))

    @router.get("/{input_id}")
    def one(input_id: str, download: bool = False) -> Response:
        """The file as it was sent. Who knows the id had the picture or was given the id."""
        kind = studio.inputs.media_type(input_id)
        shown = "attachment" if download else "inline"
        name = f"{input_id[:10]}.{kind.rpartition('/')[2]}"
        return FileResponse(
            studio.inputs.path(input_id),
            media_type=kind,
            filename=name,
            content_disposition_type=shown,
            headers=FOR_EVER,
        )

    return router


async def _picture_in(request: Request) -> bytes:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await request.body()
    async with request.form(max_files=1, max_fields=10) as form:
        for value in form.values():
            if isinstance(value, UploadFile):
                return await value.read()
    raise HTTPException(422, "The form has no file in it; send the picture as a file or as the body itself.")
