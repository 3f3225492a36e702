"""`/api/v1/training/folder`: the pictures and captions of a folder on the server, stored as if they had been uploaded."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.services.training.picture_folder import FolderImport
from modules.web.http.limits import new_router


class FolderBody(BaseModel):
    """`path`: absolute, or below `training-data` of the data directory."""

    path: str = Field(max_length=4_000)


@hookimpl
def register_routes() -> list[Routes]:
    """Always served; which folders are open, see `services/training/picture_folder.py`."""
    return [Routes(name="training folder", build=build)]


def build(studio: Studio) -> APIRouter:
    """The route."""
    router = new_router("/api/v1/training")
    reader = FolderImport(studio.inputs, studio.places, studio.flags)

    @router.post("/folder")
    def read(body: FolderBody) -> dict[str, Any]:
        """Pictures in their order, each as often as it counts, where captions came from, and what was left out."""
        found = reader.read(body.path)
        pictures = [
            {"id": one.id, "name": one.name, "caption": one.caption, "caption_source": one.source}
            for one in found.pictures
        ]
        return asdict(found) | {"pictures": pictures, "captions": found.captions}

    return router
