"""Between the field's API and ours: what a txt2img body asks for as an ImageRequest, and a finished job as its answer."""

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from modules.core.errors import InvalidRequest, Problem, UnknownName
from modules.core.requests import ImageRequest, ModelRecord
from modules.prompts.infotext import parse_infotext
from modules.services.studio import Studio
from modules.storage.records import Job, Picture
from modules.web.http.sdapi_body import Text2ImageBody
from modules.web.http.sdapi_settings import eta_setting, overrides_of

# Our field -> the API's, for sentences about it.
THEIR_NAMES = {
    "sampler": "sampler_name",
    "schedule": "scheduler",
    "batch_count": "n_iter",
    "model": "override_settings",
    "clip_skip": "override_settings",
    "emphasis": "override_settings",
    "comma_backtrack": "override_settings",
    "noise_source": "override_settings",
}
FROM_INFOTEXT = {
    "prompt": "Prompt",
    "negative_prompt": "Negative prompt",
    "steps": "Steps",
    "sampler_name": "Sampler",
    "scheduler": "Schedule type",
    "cfg_scale": "CFG scale",
    "seed": "Seed",
    "width": "Size-1",
    "height": "Size-2",
}


def request_of(body: Text2ImageBody, studio: Studio) -> ImageRequest:
    """The request a body means, settings filled in.

    Raises InvalidRequest for what this version cannot do and would change the picture, HTTPException for names and
    settings that are not there.
    """
    _refuse_scripts(body)
    body = _with_infotext(body)
    _refuse_unavailable(body)
    overrides = overrides_of(body.override_settings or {}, studio)
    model = overrides.model or studio.desk.current_model()
    request = replace(
        studio.desk.defaults(model),
        prompt=body.said("prompt"),
        negative_prompt=body.said("negative_prompt"),
        sampler=_sampler(body),
        schedule=_schedule(body),
        steps=body.said("steps"),
        width=model.width if body.width is None else body.width,
        height=model.height if body.height is None else body.height,
        cfg_scale=body.said("cfg_scale"),
        seed=body.said("seed"),
        batch_count=body.said("n_iter"),
        batch_size=body.said("batch_size"),
        eta=_eta(body, studio),
        save=bool(body.save_images),
    )
    return overrides.applied_to(request)


def their_problems(error: InvalidRequest) -> HTTPException | InvalidRequest:
    """The same complaint with the API's field names; an unknown sampler in the field's own words."""
    if any(one.field == "sampler" for one in error.problems):
        return HTTPException(400, "Sampler not found")
    if any(one.field == "schedule" for one in error.problems):
        return HTTPException(400, "Scheduler not found")
    return InvalidRequest(*(replace(one, field=THEIR_NAMES.get(one.field, one.field)) for one in error.problems))


# What is refused ---------------------------------------------------------------------------------------------------------


def _refuse_scripts(body: Text2ImageBody) -> None:
    for name in ([body.script_name] if body.script_name else []) + list(body.alwayson_scripts or {}):
        raise HTTPException(422, f"Script '{name[:200]}' not found")


def _refuse_unavailable(body: Text2ImageBody) -> None:
    """Fields that would change the picture and cannot yet. What clients send along by habit stays allowed."""
    resized = (body.seed_resize_from_w or 0) > 0 and (body.seed_resize_from_h or 0) > 0
    asked = {
        "enable_hr": (bool(body.enable_hr), "Hires. fix is"),
        "firstphase_width": (bool(body.firstphase_width or body.firstphase_height), "Hires. fix is"),
        "subseed_strength": ((body.subseed_strength or 0) != 0, "Variation seeds are"),
        "seed_resize_from_w": (resized, "Resizing seeds is"),
        "tiling": (bool(body.tiling), "Tiling is"),
        "restore_faces": (bool(body.restore_faces), "Face restoration is"),
        "refiner_checkpoint": (body.refiner_checkpoint not in (None, "", "None"), "The refiner is"),
        "s_churn": ((body.s_churn or 0) != 0, "Churn is"),
        "s_noise": (body.s_noise not in (None, 1), "The noise multiplier is"),
        "s_min_uncond": ((body.s_min_uncond or 0) != 0, "Leaving the negative prompt out is"),
    }
    problems = [
        Problem(field=field, message=f"{what} not available in this version; leave {field} out.")
        for field, (wanted, what) in asked.items()
        if wanted
    ]
    strength = body.denoising_strength
    if strength is not None and not 0 <= strength <= 1:
        message = f"Denoising strength is {strength:g}; it must be between 0 and 1."
        problems.append(Problem(field="denoising_strength", message=message))
    if problems:
        raise InvalidRequest(*problems)


# What is filled in -------------------------------------------------------------------------------------------------------


def _with_infotext(body: Text2ImageBody) -> Text2ImageBody:
    """The body with what its `infotext` says where the client said nothing itself."""
    if not body.infotext:
        return body
    found = parse_infotext(body.infotext)
    news: dict[str, Any] = {
        field: found[key]
        for field, key in FROM_INFOTEXT.items()
        if key in found and field not in body.model_fields_set and not _said_otherwise(field, body)
    }
    settings = dict(body.override_settings or {})
    for setting, key in (("sd_model_checkpoint", "Model hash"), ("CLIP_stop_at_last_layers", "Clip skip")):
        if key in found:
            settings.setdefault(setting, found[key])
    known = body.model_dump(exclude_unset=True)
    try:
        return Text2ImageBody.model_validate(known | news | {"override_settings": settings})
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def _said_otherwise(field: str, body: Text2ImageBody) -> bool:
    return field == "sampler_name" and "sampler_index" in body.model_fields_set


def _sampler(body: Text2ImageBody) -> str:
    return body.sampler_name or body.said("sampler_index") or "Euler"


def _schedule(body: Text2ImageBody) -> str:
    """The sampler's own schedule counts as Automatic, as clients know it."""
    asked = (body.scheduler or "").strip()
    if asked.casefold() in ("", "automatic", "use same scheduler"):
        return "Automatic"
    return asked


def _eta(body: Text2ImageBody, studio: Studio) -> float | None:
    """None where the value says nothing: clients send 1 along with every sampler, and it would stand in every text."""
    if body.eta is None or not 0 <= body.eta <= 1:
        return body.eta
    try:
        sampler = studio.catalogue.samplers().find(_sampler(body))
    except UnknownName:
        return body.eta
    name = eta_setting(sampler.name)
    usual = body.eta == studio.settings.registered[name].default == studio.settings.get(name)
    return None if usual or "eta" not in sampler.options else body.eta


# What is answered --------------------------------------------------------------------------------------------------------


def info_of(job: Job, body: Text2ImageBody, pictures: Sequence[Picture], record: ModelRecord, has_grid: bool) -> str:
    """The `info` string: the field's keys in the field's order. `has_grid`: the first image is the grid of all."""
    request = job.request
    seeds = [picture.seed for picture in pictures]
    subseed = body.said("subseed")
    texts = [picture.infotext for picture in pictures]
    known: dict[str, Any] = {
        "prompt": request.prompt,
        "all_prompts": [request.prompt] * len(pictures),
        "negative_prompt": request.negative_prompt,
        "all_negative_prompts": [request.negative_prompt] * len(pictures),
        "seed": request.seed,
        "all_seeds": seeds,
        "subseed": subseed,
        "all_subseeds": [subseed if subseed < 0 else subseed + picture.index for picture in pictures],
        "subseed_strength": body.said("subseed_strength"),
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
        "sd_vae_name": None,
        "sd_vae_hash": None,
        "seed_resize_from_w": body.said("seed_resize_from_w"),
        "seed_resize_from_h": body.said("seed_resize_from_h"),
        "denoising_strength": body.denoising_strength,
        "extra_generation_params": {"Schedule type": request.schedule},
        "index_of_first_image": int(has_grid),
        "infotexts": texts[:1] * has_grid + texts,
        "styles": body.styles or [],
        "job_timestamp": timestamp(job.started or job.created),
        "clip_skip": request.clip_skip,
        "is_using_inpainting_conditioning": False,
        "version": _version(texts),
    }
    return json.dumps(known, ensure_ascii=False)


def answer_of(body: Text2ImageBody, images: Sequence[bytes], info: str) -> dict[str, Any]:
    """The answer to txt2img: bare base64, and the body as it was received with all its fields."""
    encoded = [base64.b64encode(image).decode() for image in images] if body.said("send_images") else []
    return {"images": encoded, "parameters": body.model_dump(), "info": info}


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


def _version(texts: Sequence[str]) -> str:
    found: Mapping[str, Any] = parse_infotext(texts[0]) if texts else {}
    return str(found.get("Version", ""))
