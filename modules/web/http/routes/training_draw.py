"""`/api/v1/training/draw`: one picture with the base model, before anything is learned: what does this token draw now?"""

from dataclasses import replace

from fastapi import APIRouter
from pydantic import BaseModel, Field

from modules.core.extension_points import Routes, hookimpl
from modules.core.training_fields import LONGEST_PROMPT
from modules.services.studio import Studio
from modules.web.http.limits import new_router
from modules.web.http.people import Owner


class DrawBody(BaseModel):
    """`model`: a title of the list of models, "" for the chosen one."""

    prompt: str = Field(max_length=LONGEST_PROMPT)
    model: str = Field(default="", max_length=1_000)
    seed: int = Field(default=61, ge=0, lt=2**32)


@hookimpl
def register_routes() -> list[Routes]:
    """Always served: the page uses it."""
    return [Routes(name="training-draw", build=build)]


def build(studio: Studio) -> APIRouter:
    """The route."""
    router = new_router("/api/v1/training")

    @router.post("/draw")
    def draw(body: DrawBody, owner: Owner) -> dict[str, str]:
        """Queue it as a normal picture, not filed; answers the job's id, to be followed under /api/v1/jobs."""
        model = studio.library.find(body.model) if body.model else studio.desk.current_model()
        asked = replace(studio.desk.defaults(model), prompt=body.prompt, seed=body.seed, save=False)
        return {"job": studio.desk.submit(asked, owner=owner).id}

    return router
