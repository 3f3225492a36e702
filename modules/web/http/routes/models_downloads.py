"""`/api/v1/downloads`: models from the internet, only when somebody asks; off with --offline."""

from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from modules.core.errors import InvalidRequest, Problem
from modules.core.extension_points import Routes, hookimpl
from modules.services.fetch import Download
from modules.services.fetch_sources import Offer
from modules.services.studio import Studio
from modules.web.http.limits import new_router


class Looked(BaseModel):
    """Where to look: a page of Civitai, an id of the hub, an address. `pickles`: files that are no safetensors too."""

    source: Annotated[str, Field(max_length=2000)]
    token: Annotated[str, Field(max_length=500)] = ""
    pickles: bool = False


class Wanted(Looked):
    """Which of the files to fetch ("" the first), and what it is. `sha256`: what the asker knows about it."""

    file: Annotated[str, Field(max_length=500)] = ""
    kind: Annotated[str, Field(max_length=40)] = ""
    sha256: Annotated[str, Field(pattern="^([0-9a-fA-F]{64})?$")] = ""


@hookimpl
def register_routes() -> list[Routes]:
    """Always served."""
    return [Routes(name="downloads", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/api/v1/downloads")
    downloads = studio.downloads

    @router.get("")
    def every() -> dict[str, Any]:
        """All downloads since the start, and what an earlier run left unfinished."""
        return {"downloads": [_view(one) for one in downloads.list()], "offline": studio.flags.offline}

    @router.post("/look")
    def look(body: Looked) -> dict[str, Any]:
        """What there is, with sizes; nothing is fetched yet."""
        found = downloads.offers(body.source, token=body.token, pickles=body.pickles)
        return {"offers": [_offer_view(one) for one in found]}

    @router.post("")
    def start(body: Wanted) -> dict[str, Any]:
        """Fetch a file. Its hash is checked against the site's, or against the one given here."""
        found = downloads.offers(body.source, token=body.token, pickles=body.pickles)
        offer = next((one for one in found if body.file in ("", one.name)), None)
        if offer is None:
            raise InvalidRequest(
                Problem(field="file", message=f"There is no file {body.file[:80]!r} there; look again.")
            )
        return _view(downloads.start(body.source, _agreed(offer, body), kind=body.kind or offer.kind, token=body.token))

    @router.post("/{download_id}/cancel")
    def cancel(download_id: str) -> dict[str, Any]:
        """Stop it and remove what has come."""
        return _view(downloads.cancel(download_id))

    @router.post("/{download_id}/resume")
    def resume(download_id: str) -> dict[str, Any]:
        """Go on where it stopped."""
        return _view(downloads.resume(download_id))

    @router.delete("/{download_id}")
    def forget(download_id: str) -> dict[str, Any]:
        """Take it off the list."""
        downloads.forget(download_id)
        return {}

    return router


def _agreed(offer: Offer, body: Wanted) -> Offer:
    given = body.sha256.lower()
    if given and offer.sha256 and given != offer.sha256:
        raise InvalidRequest(Problem(field="sha256", message="The site says another SHA-256 than you; one is wrong."))
    return replace(offer, sha256=offer.sha256 or given)


def _view(download: Download) -> dict[str, Any]:
    return asdict(download)


def _offer_view(offer: Offer) -> dict[str, Any]:
    shown = {name: getattr(offer, name) for name in ("name", "size", "kind", "sha256")}
    return shown | {"words": offer.notes.activation_text, "base": offer.notes.base}
