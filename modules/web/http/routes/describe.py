"""`/api/v1/describe`: words for a stored picture, as a job; its `result` is the text."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from modules.core.extension_points import Routes, hookimpl
from modules.core.requests import InterrogateRequest
from modules.services.studio import Studio
from modules.web.http.limits import new_router
from modules.web.http.people import Owner


class DescribeBody(BaseModel):
    """`picture`: an id of /api/v1/inputs. `interrogator`: "clip" or "caption"."""

    picture: str = Field(max_length=100)
    interrogator: str = Field(default="clip", max_length=100)


@hookimpl
def register_routes() -> list[Routes]:
    """Always served: the page uses it."""
    return [Routes(name="describe", build=build)]


def build(studio: Studio) -> APIRouter:
    """The route."""
    router = new_router("/api/v1/describe")

    @router.post("")
    def describe(body: DescribeBody, owner: Owner) -> dict[str, str]:
        """Queue it; answers the job's id, to be followed under /api/v1/jobs."""
        asked = InterrogateRequest(picture=body.picture, interrogator=body.interrogator)
        return {"job": studio.desk.submit(asked, owner=owner).id}

    return router
