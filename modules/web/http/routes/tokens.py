"""`/api/v1/tokens`: how long a prompt is, while somebody types it."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from modules.core.errors import InvalidRequest, Problem
from modules.core.extension_points import Routes, hookimpl
from modules.core.image_fields import LONGEST_PROMPT
from modules.services.studio import Studio
from modules.web.http.limits import new_router


class TokensBody(BaseModel):
    """A text too long for an address. `steps`, `positive`: of a prompt or a negative prompt drawn in so many steps."""

    text: str
    steps: int = Field(20, ge=1, le=150)
    positive: bool = True


@hookimpl
def register_routes() -> list[Routes]:
    """Always served."""
    return [Routes(name="tokens", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/api/v1/tokens")

    def counted(text: str, steps: int = 20, positive: bool = True) -> dict[str, Any]:
        if len(text) > LONGEST_PROMPT:
            message = f"The text has {len(text):,} characters; at most {LONGEST_PROMPT:,} are counted."
            raise InvalidRequest(Problem(field="text", message=message))
        count, limit = studio.tokens.count(text, steps=steps, positive=positive)
        return {"count": count, "limit": limit}

    @router.get("")
    def count(text: str = "") -> dict[str, Any]:
        """Tokens in `text` and how many fit into the chunks they take."""
        return counted(text)

    @router.post("")
    def count_long(body: TokensBody) -> dict[str, Any]:
        """The same for a long text."""
        return counted(body.text, body.steps, body.positive)

    return router
