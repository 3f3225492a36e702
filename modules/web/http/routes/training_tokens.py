"""`/api/v1/training/tokens`: how an identifier falls into tokens, and rare ones to choose from."""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Query

from modules.core.extension_points import Routes, hookimpl
from modules.prompts.rare_tokens import rare_tokens, remarks, split, suggestions
from modules.services.studio import Studio
from modules.web.http.limits import new_router

LONGEST = 2_000
MOST = 627


@hookimpl
def register_routes() -> list[Routes]:
    """Always served: the page asks while an identifier is typed."""
    return [Routes(name="training tokens", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/api/v1/training/tokens")

    @router.get("")
    def tokens(text: Annotated[str, Query(max_length=LONGEST)] = "") -> dict[str, Any]:
        """The pieces of a text, their ids, and what speaks against it as an identifier."""
        known = split(text, studio.tokens.tokenizer)
        found = remarks(text, studio.tokens.tokenizer)
        return {
            "pieces": known.pieces,
            "ids": known.ids,
            "rare": known.rare,
            "level": "amber" if any(one.level == "amber" for one in found) else "green",
            "remarks": [one.message for one in found],
        }

    @router.get("/rare")
    def rare(
        count: Annotated[int, Query(ge=1, le=MOST)] = 10, seed: Annotated[int | None, Query(ge=0, lt=2**63)] = None
    ) -> dict[str, Any]:
        """Rare tokens, none twice; the same ones for the same seed."""
        used = secrets.randbelow(2**32) if seed is None else seed
        return {"tokens": suggestions(rare_tokens(studio.tokens.tokenizer), count, used), "seed": used}

    return router
