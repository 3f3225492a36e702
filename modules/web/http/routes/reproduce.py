"""`/api/v1/reproduce`: make a stored picture again from its text, and compare the two."""

import io
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from PIL import Image
from pydantic import BaseModel, Field
from starlette.responses import Response

from modules.core.errors import InvalidRequest
from modules.core.extension_points import Routes, hookimpl
from modules.imaging.likeness import amplification, difference_picture, likeness
from modules.imaging.metadata import open_picture, read_text
from modules.services.studio import Studio
from modules.web.http.limits import new_router
from modules.web.http.people import Owner
from modules.web.http.views import picture_view
from modules.web.reproducing import again, rows, verdict

LOSSY = {"JPEG", "WEBP", "GIF"}
Id = Annotated[str, Query(max_length=100)]


class ReproduceBody(BaseModel):
    """`picture`: an id of /api/v1/inputs."""

    picture: str = Field(max_length=100)


@hookimpl
def register_routes() -> list[Routes]:
    """Always served: PNG Info lives on them."""
    return [Routes(name="reproduce", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/api/v1/reproduce")

    @router.post("")
    def reproduce(body: ReproduceBody, owner: Owner) -> dict[str, Any]:
        """Queue it; answers the job's id, to be followed under /api/v1/jobs, and what cannot be as it was.

        Without a job there is a sentence why it cannot be made again; that is an answer, not a wrong question.
        """
        text = read_text(studio.inputs.get(body.picture)).infotext
        try:
            found = again(studio, text)
            job = studio.desk.submit(found.request, owner=owner)
        except InvalidRequest as error:
            return {"job": "", "sentence": str(error), "remarks": []}
        return {"job": job.id, "remarks": [asdict(one) for one in found.remarks]}

    @router.get("/compare")
    def compare(picture: Id, result: Id, owner: Owner) -> dict[str, Any]:
        """How alike a stored picture and a made one are, what differs between their texts, and all that in a sentence."""
        content = studio.inputs.get(picture)
        made = studio.gallery.picture(result, owner)
        text = read_text(content).infotext
        remarks = again(studio, text).remarks
        answer = {
            "rows": [asdict(one) for one in rows(text, made.infotext, remarks)],
            "result": picture_view(made),
        }
        return answer | _alike(content, _file(studio, result, owner), [one.words for one in remarks])

    @router.get("/difference.png")
    def difference(picture: Id, result: Id, owner: Owner) -> Response:
        """The absolute difference of the two, made visible; no content when their sizes differ."""
        one, other = open_picture(studio.inputs.get(picture)), open_picture(_file(studio, result, owner))
        if one.size != other.size:
            return Response(status_code=204)
        buffer = io.BytesIO()
        difference_picture(one, other).save(buffer, "PNG")
        return Response(buffer.getvalue(), media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

    return router


def _file(studio: Studio, id: str, owner: str) -> bytes:
    return studio.gallery.path(studio.gallery.picture(id, owner)).read_bytes()


def _alike(content: bytes, made: bytes, reasons: list[str]) -> dict[str, Any]:
    one, other = open_picture(content), open_picture(made)
    if one.size != other.size:
        sizes = f"{one.width}x{one.height} and {other.width}x{other.height}"
        sentence = f"Different: the pictures have other sizes ({sizes}), so their pixels cannot be compared."
        return {"verdict": " ".join([sentence, *reasons[:1]]), "comparable": False}
    found = likeness(one, other)
    lossy = _format(content)
    return asdict(found) | {
        "verdict": verdict(found, reasons, lossy if lossy in LOSSY else ""),
        "comparable": True,
        "factor": amplification(found.largest),
    }


def _format(content: bytes) -> str:
    with Image.open(io.BytesIO(content)) as picture:
        return picture.format or ""
