"""`/sdapi/v1`: pictures made larger, words for a picture, and the list of upscalers."""

import html
import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from modules.core.errors import InvalidImage, InvalidRequest, Problem
from modules.core.extension_points import Routes, hookimpl
from modules.core.requests import InterrogateRequest, UpscaleRequest
from modules.imaging.metadata import read_text
from modules.services.request_defaults import defaults_from
from modules.services.studio import Studio
from modules.storage.records import Job
from modules.web.http.answers import KnownFault
from modules.web.http.limits import new_router
from modules.web.http.people import Owner
from modules.web.http.routes.sdapi_generate import ended
from modules.web.http.sdapi_encode import encoded
from modules.web.http.sdapi_image import INVALID, image_bytes

MOST_PICTURES = 1000  # of one batch
INTERROGATORS = {"clip": "clip", "caption": "caption", "blip": "caption"}
THEIR_NAMES = {
    "upscale_by": "upscaling_resize",
    "upscale_w": "upscaling_resize_w",
    "upscale_h": "upscaling_resize_h",
    "upscaler_2_visibility": "extras_upscaler_2_visibility",
}
NOT_FOUND = "errors.NotFound:"  # in a failed job's detail


def _default(value: Any) -> BeforeValidator:
    """`null` means the default, as in all bodies of this API."""
    return BeforeValidator(lambda given: value if given is None else given)


Part = Annotated[float, _default(0.0), Field(ge=0, le=1, allow_inf_nan=False)]
Side = Annotated[int, _default(512), Field(ge=1)]
UpscalerName = Annotated[str, _default("None"), Field(max_length=1000)]


class ExtrasBody(BaseModel):
    """What a client may send; unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore")

    resize_mode: Annotated[int, _default(0), Field(ge=0, le=1)] = 0
    show_extras_results: Annotated[bool, _default(True)] = True
    gfpgan_visibility: Part = 0
    codeformer_visibility: Part = 0
    codeformer_weight: Part = 0
    upscaling_resize: Annotated[float, _default(2.0), Field(gt=0, allow_inf_nan=False)] = 2
    upscaling_resize_w: Side = 512
    upscaling_resize_h: Side = 512
    upscaling_crop: Annotated[bool, _default(True)] = True
    upscaler_1: UpscalerName = "None"
    upscaler_2: UpscalerName = "None"
    extras_upscaler_2_visibility: Part = 0
    upscale_first: Annotated[bool, _default(False)] = False


class OneImageBody(ExtrasBody):
    image: Annotated[str, _default("")] = ""


class NamedImage(BaseModel):
    data: str
    name: str = ""


class BatchBody(ExtrasBody):
    imageList: list[NamedImage] = Field(max_length=MOST_PICTURES)  # noqa: N815  the field's name


class InterrogateBody(BaseModel):
    image: str | None = None
    model: str | None = "clip"


class OneImageAnswer(BaseModel):
    """The picture as bare base64, and what was done."""

    html_info: str
    image: str


class BatchAnswer(BaseModel):
    """See OneImageAnswer."""

    html_info: str
    images: list[str]


@hookimpl
def register_routes() -> list[Routes]:
    """With --api or --nowebui."""
    return [Routes(name="sdapi extras", build=build, api=True)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/sdapi/v1")
    _add_enlarging(router, studio)
    _add_lists(router, studio)

    @router.post("/interrogate")
    async def interrogate(body: InterrogateBody, owner: Owner) -> dict[str, str]:
        """Words for a picture: `clip` ranks those the starter model knows, `caption` asks a captioner."""
        if body.image is None or len(body.image) < 64:  # what clients know as no picture
            raise HTTPException(404, "Image not found")
        kind = INTERROGATORS.get((body.model or "clip").casefold())
        if kind is None:
            raise HTTPException(404, "Model not found")
        job = await _done(
            studio, owner, lambda: InterrogateRequest(picture=_kept(studio, body.image), interrogator=kind)
        )
        return {"caption": job.result}

    return router


def _add_enlarging(router: APIRouter, studio: Studio) -> None:
    @router.post("/extra-single-image", response_model=OneImageAnswer)
    async def extra_single_image(body: OneImageBody, owner: Owner) -> Response:
        """A picture made larger. Only with `image` it comes back as it is."""
        job = await _done(studio, owner, lambda: _request(studio, body, [NamedImage(data=body.image)]))
        return await run_in_threadpool(_answer, studio, job, True)

    @router.post("/extra-batch-images", response_model=BatchAnswer)
    async def extra_batch_images(body: BatchBody, owner: Owner) -> Response:
        """Several pictures made larger, in the order they came."""
        if not body.imageList:
            return Response(json.dumps({"html_info": "", "images": []}), media_type="application/json")
        job = await _done(studio, owner, lambda: _request(studio, body, body.imageList))
        return await run_in_threadpool(_answer, studio, job, False)


def _add_lists(router: APIRouter, studio: Studio) -> None:
    @router.get("/upscalers")
    def upscalers() -> list[dict[str, Any]]:
        """None, Lanczos, Nearest and those of extensions; then the files in the models folder."""
        plain = [_upscaler_view(one.name, None) for one in studio.catalogue.now().upscalers]
        files = [_upscaler_view(one.name, one.path) for one in studio.shelf.files("upscaler") if not one.problem]
        return plain + files

    @router.get("/realesrgan-models")
    def realesrgan_models() -> list[dict[str, Any]]:
        """The files in models/RealESRGAN."""
        folder = str(studio.places.models / "RealESRGAN")
        found = [one for one in studio.shelf.files("upscaler") if one.path.startswith(folder)]
        return [{"name": one.name, "path": one.path, "scale": 4} for one in found]


def _upscaler_view(name: str, path: str | None) -> dict[str, Any]:
    return {"name": name, "model_name": name if path else None, "model_path": path, "model_url": None, "scale": 4}


# Asking -------------------------------------------------------------------------------------------------------------------


async def _done(studio: Studio, owner: str, ask: Any) -> Job:
    """Hand in what `ask` answers and wait for its end."""
    job = await run_in_threadpool(_submitted, studio, owner, ask)
    job = await ended(studio, job.id)
    if job.state == "failed":
        if NOT_FOUND in job.detail:
            raise HTTPException(404, job.sentence)
        raise KnownFault("JobFailed", job.sentence)
    return job


def _submitted(studio: Studio, owner: str, ask: Any) -> Job:
    try:
        return studio.desk.submit(ask(), owner=owner)
    except InvalidRequest as error:
        raise _their_problems(error) from error


def _their_problems(error: InvalidRequest) -> Exception:
    for one in error.problems:
        if one.field in ("upscaler_1", "upscaler_2"):
            return KnownFault("AssertionError", f"could not find upscaler: {one.message}")
    return InvalidRequest(
        *(Problem(field=THEIR_NAMES.get(one.field, one.field), message=one.message) for one in error.problems)
    )


def _request(studio: Studio, body: ExtrasBody, images: Sequence[NamedImage]) -> UpscaleRequest:
    """Raises InvalidRequest for faces that should be restored, HTTPException for what is no picture."""
    for field in ("gfpgan_visibility", "codeformer_visibility"):
        if getattr(body, field) > 0:
            message = f"Faces cannot be restored in this version; leave {field} out or 0."
            raise InvalidRequest(Problem(field=field, message=message))
    asked: dict[str, Any] = {
        "pictures": tuple(_kept(studio, one.data) for one in images),
        "names": tuple(one.name[:255] for one in images),
        "upscaler_1": body.upscaler_1,
        "upscaler_2": body.upscaler_2,
        "upscaler_2_visibility": body.extras_upscaler_2_visibility,
        "by_size": body.resize_mode == 1,
        "upscale_by": body.upscaling_resize,
        "upscale_w": body.upscaling_resize_w,
        "upscale_h": body.upscaling_resize_h,
        "crop": body.upscaling_crop,
        "save": False,
    }
    return UpscaleRequest(**(defaults_from(studio.settings, UpscaleRequest) | asked))


def _kept(studio: Studio, text: str | None) -> str:
    try:
        return studio.inputs.keep(image_bytes(text or ""))
    except InvalidImage as error:
        raise HTTPException(500, INVALID) from error


# Answering ----------------------------------------------------------------------------------------------------------------


def _answer(studio: Studio, job: Job, single: bool) -> Response:
    """Blocks: reads files."""
    pictures = studio.gallery.pictures(job=job.id)
    contents = [studio.gallery.path(one).read_bytes() for one in pictures]
    kind, quality = str(studio.settings.get("samples_format")), int(studio.settings.get("jpeg_quality"))
    images = [encoded(png, one.infotext, kind, quality) for png, one in zip(contents, pictures, strict=True)]
    info = _html_info(contents[0]) if contents else ""
    if single and not images:
        raise KnownFault("JobFailed", job.sentence or "The job was stopped before the picture was made.")
    answer = {"html_info": info, "image": images[0]} if single else {"html_info": info, "images": images}
    return Response(json.dumps(answer), media_type="application/json")


def _html_info(png: bytes) -> str:
    """What was done, as a paragraph; clients show it as it is."""
    done = read_text(png).items.get("postprocessing", "")
    return f"<p>{html.escape(done)}</p>" if done else ""
