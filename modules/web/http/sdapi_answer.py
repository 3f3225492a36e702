"""A finished job as the answer of the field's API: pictures, the body as received, and what was made of it."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from modules.core.errors import UnknownName
from modules.core.requests import EditRequest, ImageRequest, ModelRecord
from modules.imaging.grid import grid
from modules.imaging.metadata import MOST_PIXELS, open_picture, png_bytes
from modules.prompts.infotext import parse_infotext
from modules.services.studio import Studio
from modules.storage.records import Job, Picture
from modules.web.http.sdapi_body import Image2ImageBody, ImageBody
from modules.web.http.sdapi_encode import encoded
from modules.web.http.sdapi_masks import masks_of
from modules.web.http.sdapi_settings import overrides_of

# Keys that `info` has a place of its own for.
OWN_PLACE = frozenset(
    [
        *("Prompt", "Negative prompt", "Steps", "Sampler", "CFG scale", "Seed", "Size-1", "Size-2", "Clip skip"),
        *("Model", "Model hash", "VAE", "VAE hash", "Denoising strength", "Version", "Face restoration"),
        *("Variation seed", "Variation seed strength", "Seed resize from-1", "Seed resize from-2"),
    ]
)


@dataclass(frozen=True)
class _Sent:
    """One image of the answer: PNG bytes, its text, and whether it is a grid or a mask rather than a result."""

    png: bytes
    infotext: str


def answer(studio: Studio, body: ImageBody, job: Job) -> Response:
    """Blocks: reading and encoding megabytes takes longer than the event loop may stand still."""
    pictures = studio.gallery.pictures(job=job.id)
    results = [_Sent(studio.gallery.path(one).read_bytes(), one.infotext) for one in pictures]
    options = studio.settings.all() | dict(overrides_of(body.override_settings or {}, studio).values)
    sheet = _sheet(results, pictures) if body.save_images and options["return_grid"] else []
    images = [*sheet, *_with_masks(studio, job.request, results, options)]
    kind, quality = str(options["samples_format"]), int(options["jpeg_quality"])
    sends = body.said("send_images")
    content = {
        "images": [encoded(one.png, one.infotext, kind, quality) for one in images] if sends else [],
        "parameters": body.echoed() if isinstance(body, Image2ImageBody) else body.model_dump(),
        "info": info_of(job, body, pictures, record_of(job, studio), [one.infotext for one in images], bool(sheet)),
    }
    return Response(json.dumps(content), media_type="application/json")


def info_of(
    job: Job,
    body: ImageBody,
    pictures: Sequence[Picture],
    record: ModelRecord,
    infotexts: Sequence[str],
    has_grid: bool,
) -> str:
    """The `info` string: the field's keys in the field's order. `has_grid`: the first image is the grid of all."""
    request = job.request
    assert isinstance(request, ImageRequest)
    indices = [picture.index for picture in pictures]
    own_vae = request.vae in ("Automatic", "None", "")
    known: dict[str, Any] = {
        "prompt": request.prompt_of(0),
        "all_prompts": [request.prompt_of(index) for index in indices],
        "negative_prompt": request.negative_of(0),
        "all_negative_prompts": [request.negative_of(index) for index in indices],
        "seed": request.seed,
        "all_seeds": [picture.seed for picture in pictures],
        "subseed": request.subseed,
        "all_subseeds": [request.subseed if request.subseed < 0 else request.subseed + index for index in indices],
        "subseed_strength": request.subseed_strength,
        "width": request.width,
        "height": request.height,
        "sampler_name": request.sampler,
        "cfg_scale": request.cfg_scale,
        "steps": request.steps,
        "batch_size": request.batch_size,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": record.name.rpartition("/")[2],
        "sd_model_hash": record.short_hash,
        "sd_vae_name": None if own_vae else request.vae,
        "sd_vae_hash": _written(infotexts, "VAE hash") or None,
        "seed_resize_from_w": body.said("seed_resize_from_w"),
        "seed_resize_from_h": body.said("seed_resize_from_h"),
        "denoising_strength": _strength(request, body),
        "extra_generation_params": _others(infotexts),
        "index_of_first_image": int(has_grid),
        "infotexts": list(infotexts),
        "styles": body.styles or [],
        "job_timestamp": timestamp(job.started or job.created),
        "clip_skip": request.clip_skip,
        "is_using_inpainting_conditioning": bool(_written(infotexts, "Conditional mask weight")),
        "version": _written(infotexts, "Version"),
    }
    return json.dumps(known, ensure_ascii=False)


def timestamp(moment: float | None) -> str:
    """YYYYMMDDhhmmss; "0" for no moment, as the field writes it."""
    return time.strftime("%Y%m%d%H%M%S", time.localtime(moment)) if moment else "0"


def record_of(job: Job, studio: Studio) -> ModelRecord:
    """The model a job was drawn with; one without hash when its file is gone by now."""
    title = job.request.model
    try:
        return studio.library.find(title)
    except UnknownName:
        return ModelRecord(name=title, path="", title=title, size=0, modified=0)


# Inside ------------------------------------------------------------------------------------------------------------------


def _sheet(results: Sequence[_Sent], pictures: Sequence[Picture]) -> list[_Sent]:
    """All pictures as one, with the text of the first; none of a single picture, nor of more than can be shown."""
    pixels = sum(picture.width * picture.height for picture in pictures)
    if len(results) < 2 or pixels > MOST_PIXELS:
        return []
    sheet = grid([open_picture(one.png) for one in results])
    return [_Sent(png_bytes(sheet, results[0].infotext), results[0].infotext)]


def _with_masks(studio: Studio, request: Any, results: Sequence[_Sent], options: Mapping[str, Any]) -> list[_Sent]:
    """Each result, and after it its mask and what was painted alone, where the settings want them."""
    alone, cut_out = bool(options["return_mask"]), bool(options["return_mask_composite"])
    if not isinstance(request, EditRequest) or not request.mask or not (alone or cut_out):
        return list(results)
    images: list[_Sent] = []
    for one in results:
        found = masks_of(studio, request, open_picture(one.png))
        wanted = [picture for picture, asked in zip(found, (alone, cut_out), strict=True) if asked]
        images += [one, *(_Sent(png_bytes(picture, one.infotext), one.infotext) for picture in wanted)]
    return images


def _strength(request: ImageRequest, body: ImageBody) -> float | None:
    """What was used, where it was used; else what the client said."""
    used = request.enable_hr or isinstance(request, EditRequest)
    return request.denoising_strength if used else body.denoising_strength


def _others(infotexts: Sequence[str]) -> dict[str, Any]:
    """What the first picture's text says beyond the keys above."""
    found = parse_infotext(infotexts[0], absent=False, backward=False) if infotexts else {}
    return {key: value for key, value in found.items() if key not in OWN_PLACE}


def _written(infotexts: Sequence[str], key: str) -> str:
    """What the first picture's text says."""
    found: Mapping[str, Any] = parse_infotext(infotexts[0]) if infotexts else {}
    return str(found.get(key, ""))
