"""`/api/v1/models`: every model file as a card, by ids; notes, previews, choosing one, the trash."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from modules.core.errors import AtelierError, InvalidRequest, Problem
from modules.core.extension_points import Routes, hookimpl
from modules.core.requests import ModelRecord
from modules.services.cards import Card
from modules.services.shelf_notes import Notes
from modules.services.studio import Studio
from modules.web.http.limits import new_router
from modules.web.http.people import Owner
from modules.web.http.thumbnails import Thumbnails, png_of

LONGEST = 20_000
CHOOSES = {"checkpoint": "sd_model_checkpoint", "vae": "sd_vae"}
MULTIPLIER = "extra_networks_default_multiplier"

Text = Annotated[str, Field(max_length=LONGEST)]


class Edited(BaseModel):
    """What somebody wrote on a card."""

    description: Text = ""
    activation_text: Text = ""
    negative_text: Text = ""
    preferred_weight: Annotated[float, Field(ge=-10, le=10)] = 0.0
    base: Annotated[str, Field(max_length=80)] = ""
    notes: Text = ""


class Pictured(BaseModel):
    """Which picture a card shall show: one of the gallery, or one that was brought along."""

    picture: Annotated[str, Field(max_length=64)] = ""
    input: Annotated[str, Field(max_length=64)] = ""


@hookimpl
def register_routes() -> list[Routes]:
    """Always served: the page lives on them."""
    return [Routes(name="models", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/api/v1/models")
    _add_looking(router, studio)
    _add_pictures(router, studio)
    _add_changing(router, studio)
    return router


def _add_looking(router: APIRouter, studio: Studio) -> None:
    @router.get("")
    def every() -> dict[str, Any]:
        """All cards; which checkpoint draws now; the weight that a network gets in a prompt."""
        cards = studio.cards.all()
        return {
            "models": [card_view(card) for card in cards],
            "chosen": _chosen(studio, cards),
            "multiplier": studio.settings.get(MULTIPLIER) if MULTIPLIER in studio.settings.registered else 1.0,
            "offline": studio.flags.offline,
        }

    @router.post("/refresh")
    def refresh() -> dict[str, Any]:
        """Look at the folders again."""
        studio.cards.refresh()
        return every()

    @router.get("/{model_id}")
    def one(model_id: str) -> dict[str, Any]:
        """One card with the most frequent words of its training and what its header says."""
        card = studio.cards.find(model_id)
        tags, metadata = list(studio.cards.tags(card)), dict(studio.cards.metadata(card))
        return card_view(card) | {"tags": tags, "metadata": metadata}

    @router.post("/{model_id}/choose")
    def choose(model_id: str) -> dict[str, Any]:
        """Let a checkpoint draw from now on, or an autoencoder decode."""
        card = studio.cards.find(model_id)
        name = CHOOSES.get(card.kind, "")
        if name not in studio.settings.registered or card.problem:
            raise _not_that(card.problem or f"A file of the kind {card.kind} is used by writing it into the prompt.")
        studio.settings.set({name: card.use if card.kind == "checkpoint" else card.path.name})
        return card_view(card)


def _add_pictures(router: APIRouter, studio: Studio) -> None:
    thumbnails = Thumbnails(studio.places.cache / "thumbnails")

    @router.get("/{model_id}/preview.jpg")
    def preview(model_id: str) -> Response:
        """A small copy of its picture. The address that a card gives changes with the picture."""
        card = studio.cards.find(model_id)
        content = thumbnails.of(f"{card.id}-{card.preview or '0'}", lambda: studio.cards.picture(model_id))
        known = {"Cache-Control": "private, max-age=31536000, immutable"}
        return Response(content, media_type="image/jpeg", headers=known)

    @router.post("/{model_id}/preview")
    def set_preview(model_id: str, body: Pictured, owner: Owner) -> dict[str, Any]:
        """Let a picture that was made here, or brought along, be its preview."""
        if body.picture:
            content = studio.gallery.path(studio.gallery.picture(body.picture, owner)).read_bytes()
        elif body.input:
            content = png_of(studio.inputs.get(body.input))
        else:
            raise _not_that("Say which picture it shall be.")
        return card_view(studio.cards.set_picture(model_id, content))


def _add_changing(router: APIRouter, studio: Studio) -> None:
    @router.put("/{model_id}/notes")
    def edit(model_id: str, body: Edited) -> dict[str, Any]:
        """Write notes, trigger words and the preferred weight into the file beside it."""
        return card_view(studio.cards.edit(model_id, Notes(**body.model_dump())))

    @router.post("/{model_id}/convert")
    def convert(model_id: str) -> dict[str, Any]:
        """Make a safetensors file of a pickle; answers its card. Takes minutes for a large file."""
        return card_view(studio.cards.convert(model_id))

    @router.delete("/{model_id}")
    def remove(model_id: str) -> dict[str, str]:
        """Put it into the trash; `token` brings it back within a day."""
        return {"token": studio.cards.remove(model_id)}

    @router.post("/trash/{token}/restore")
    def restore(token: str) -> dict[str, Any]:
        """Take it out of the trash."""
        studio.cards.restore(token)
        return {}


def card_view(card: Card) -> dict[str, Any]:
    """A card without its place on the disk."""
    shown = (
        "id",
        "kind",
        "name",
        "use",
        "folder",
        "size",
        "hash",
        "base",
        "problem",
        "title",
        "trigger",
        "convertible",
    )
    notes = card.notes
    return {name: getattr(card, name) for name in shown} | {
        "modified": card.modified / 1e9,
        "preview": f"/api/v1/models/{card.id}/preview.jpg?v={card.preview}" if card.preview else "",
        "weight": notes.preferred_weight,
        "description": notes.description,
        "activation_text": notes.activation_text,
        "negative_text": notes.negative_text,
        "notes": notes.notes,
        "own_base": notes.base,
    }


def _chosen(studio: Studio, cards: tuple[Card, ...]) -> dict[str, str]:
    """The ids of what is in use, by kind."""
    try:
        model: ModelRecord | None = studio.desk.current_model()
    except AtelierError:
        model = None
    path = model.path if model else ""
    vae = str(studio.settings.get("sd_vae")) if "sd_vae" in studio.settings.registered else ""
    found = {"checkpoint": next((card.id for card in cards if str(card.path) == path), "")}
    return found | {"vae": next((card.id for card in cards if card.kind == "vae" and vae in _names(card)), "")}


def _names(card: Card) -> tuple[str, str]:
    return card.name, card.path.name


def _not_that(sentence: str) -> InvalidRequest:
    return InvalidRequest(Problem(field="model", message=sentence))
