"""`/api/v1/training/class-pictures`: the pictures made for prior preservation, to look at and to throw out."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import FileResponse, Response

from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.web.http.limits import new_router
from modules.web.http.people import Owner
from modules.web.http.training_views import class_set_view

CACHED = {"Cache-Control": "private, max-age=3600"}
Seed = Annotated[int, Path(ge=0, lt=2**63)]


@hookimpl
def register_routes() -> list[Routes]:
    """Always served: the page lives on them."""
    return [Routes(name="class pictures", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/api/v1/training/class-pictures")
    kept = studio.trainings.class_pictures
    prompts = studio.trainings.class_prompts

    @router.get("")
    def sets(owner: Owner) -> dict[str, Any]:
        """All sets; where people are told apart, those of one's own class prompts."""
        return {"sets": [class_set_view(one) for one in kept.sets(prompts(owner))]}

    @router.get("/{key}/{seed}.png")
    def picture(key: str, seed: Seed, owner: Owner) -> Response:
        """One picture."""
        return FileResponse(kept.file(key, seed, prompts(owner)), media_type="image/png", headers=CACHED)

    @router.delete("/{key}")
    def remove_all(key: str, owner: Owner) -> dict[str, int]:
        """Throw a whole set out; a training that needs it makes it again."""
        return {"removed": kept.remove(key, prompts=prompts(owner))}

    @router.delete("/{key}/{seed}")
    def remove(key: str, seed: Seed, owner: Owner) -> dict[str, int]:
        """Throw one picture out; the next training draws another in its place."""
        return {"removed": kept.remove(key, seed, prompts(owner))}

    return router
