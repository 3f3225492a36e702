"""`/api/v1/merges`: a new checkpoint from others, as a job of the queue; and pickles made safetensors files."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from modules.core.extension_points import Routes, hookimpl
from modules.core.requests import LONGEST_NAME, MergeRequest
from modules.services.studio import Studio
from modules.web.http.limits import new_router
from modules.web.http.people import Owner
from modules.web.http.views import job_view

Name = Annotated[str, Field(max_length=LONGEST_NAME)]


class Asked(BaseModel):
    """The fields of `MergeRequest`, which checks them."""

    model_a: Name = ""
    model_b: Name = ""
    model_c: Name = ""
    method: Name = "Weighted sum"
    multiplier: float = 0.3
    vae: Name = "None"
    name: Name = ""
    half: bool = True
    keep_metadata: bool = True


@hookimpl
def register_routes() -> list[Routes]:
    """Always served."""
    return [Routes(name="merges", build=build)]


def build(studio: Studio) -> APIRouter:
    """The route."""
    router = new_router("/api/v1/merges")

    @router.post("")
    def merge(body: Asked, owner: Owner) -> dict[str, Any]:
        """Queue it; `/api/v1/jobs` says how it goes."""
        return job_view(studio.desk.submit(MergeRequest(**body.model_dump()), owner=owner))

    return router
