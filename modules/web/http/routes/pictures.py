"""`/api/v1/pictures`: the files, by ids that cannot be guessed; what is behind an id never changes."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import FileResponse, Response

from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.web.http.limits import new_router
from modules.web.http.people import Owner
from modules.web.http.views import picture_view


@hookimpl
def register_routes() -> list[Routes]:
    """Always served."""
    return [Routes(name="pictures", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/api/v1/pictures")

    @router.get("")
    def newest(
        owner: Owner, limit: Annotated[int, Query(ge=1, le=500)] = 50, before: str | None = None
    ) -> dict[str, Any]:
        """One's own kept pictures, newest first; `before`: the id at which the last page ended."""
        found = studio.gallery.pictures(owner=owner, limit=limit, before=before)
        return {"pictures": [picture_view(one) for one in found]}

    @router.head("/{picture_id}.png", include_in_schema=False)
    @router.get("/{picture_id}.png")
    def file(picture_id: str, request: Request, owner: Owner, download: bool = False) -> Response:
        """The PNG with its text. `download=1`: to be saved, not shown."""
        picture = studio.gallery.picture(picture_id, owner)
        path = studio.gallery.path(picture)
        known = {"ETag": f'"{picture.id}"', "Cache-Control": "private, max-age=31536000, immutable"}
        if request.headers.get("if-none-match") == known["ETag"]:
            return Response(status_code=304, headers=known)
        shown = "attachment" if download else "inline"
        name = picture.path.rpartition("/")[2]
        return FileResponse(path, media_type="image/png", filename=name, content_disposition_type=shown, headers=known)

    @router.get("/{picture_id}")
    def one(picture_id: str, owner: Owner) -> dict[str, Any]:
        """A picture's text, seed and size."""
        return picture_view(studio.gallery.picture(picture_id, owner))

    return router
