"""`/sd_extra_networks`: the addresses by which the field's page, and extensions' scripts, ask for cards."""

import json
from html import escape
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from modules.core.errors import NotFound
from modules.core.extension_points import Routes, hookimpl
from modules.services.cards import Card
from modules.services.shelf_notes import preview_of
from modules.services.studio import Studio
from modules.web.http.limits import new_router
from modules.web.http.thumbnails import Thumbnails

KIND_OF_PAGE = {
    "lora": "lora",
    "checkpoints": "checkpoint",
    "textual inversion": "embedding",
    "textual_inversion": "embedding",
    "hypernetworks": "hypernetwork",
}

Text = Annotated[str, Query(max_length=4096)]


@hookimpl
def register_routes() -> list[Routes]:
    """Always served, as in the field."""
    return [Routes(name="cards of the field", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/sd_extra_networks")
    thumbnails = Thumbnails(studio.places.cache / "thumbnails")

    @router.get("/thumb")
    def thumb(filename: Text = "") -> Response:
        """The picture beside a model, by its path; any other path is not there."""
        card = next((one for one in studio.cards.all() if one.preview and _is_preview(one, filename)), None)
        if card is None:
            raise NotFound("there is no preview with this name")
        content = thumbnails.of(f"{card.id}-{card.preview}", lambda: studio.cards.picture(card.id))
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=600"})

    @router.get("/metadata")
    def metadata(page: Text = "", item: Text = "") -> dict[str, Any]:
        """What a file's header says, as JSON in a string; {} for what is not there."""
        card = _card(studio, page, item)
        known = studio.cards.metadata(card) if card else {}
        return {"metadata": json.dumps(known, indent=4, ensure_ascii=False)} if known else {}

    @router.get("/get-single-card")
    def single_card(page: Text = "", tabname: Text = "", name: Text = "") -> dict[str, Any]:
        """One card as markup; {} for what is not there."""
        card = _card(studio, page, name)
        return {"html": f"<div class='card' data-name='{escape(card.name)}'>{escape(card.name)}</div>"} if card else {}

    return router


def _card(studio: Studio, page: str, name: str) -> Card | None:
    kind = KIND_OF_PAGE.get(page.casefold())
    return next((one for one in studio.cards.all() if one.kind == kind and name in (one.name, one.use)), None)


def _is_preview(card: Card, filename: str) -> bool:
    found = preview_of(card.path)
    return found is not None and found == Path(filename.replace("\0", ""))
