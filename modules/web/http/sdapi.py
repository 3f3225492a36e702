"""Between the field's API and ours: what a body asks for as a request."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import HTTPException

from modules.core.errors import InvalidImage, InvalidRequest, Problem, UnknownName
from modules.core.requests import EditRequest, ImageRequest
from modules.services.request_defaults import defaults_from
from modules.services.studio import Studio
from modules.storage.records import Job
from modules.web.http.answers import KnownFault
from modules.web.http.sdapi_body import Image2ImageBody, ImageBody, Text2ImageBody
from modules.web.http.sdapi_fields import fields_of, own_fields, settled, their_name
from modules.web.http.sdapi_image import INVALID, image_bytes
from modules.web.http.sdapi_infotext import fields_in
from modules.web.http.sdapi_scripts import fields_of_scripts, refuse_selectable
from modules.web.http.sdapi_settings import Overrides, eta_setting, overrides_of


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request, the pictures it works on, and the settings that came with it."""

    request: ImageRequest
    pictures: tuple[bytes, ...]
    overrides: Overrides


def accepted(studio: Studio, body: ImageBody, owner: str) -> Job:
    """Queue what a body asks for; nothing is kept or queued when this raises.

    Raises InvalidRequest with the API's field names, HTTPException and KnownFault as clients know them.
    """
    try:
        asked = asked_in(body, studio)
        asked.request.checked()
        for picture in asked.pictures:
            _kept(studio, picture)
        job = studio.desk.submit(asked.request, owner=owner)
    except InvalidRequest as error:
        raise their_problems(error) from error
    if not body.said("override_settings_restore_afterwards"):
        studio.settings.set(asked.overrides.values)
    return job


def asked_in(body: ImageBody, studio: Studio) -> Asked:
    """What a body means, settings filled in. Nothing is stored yet; the pictures have not been looked at.

    What counts, from the strongest: `atelier`, the body's other fields, scripts, override_settings, the infotext, the API's
    defaults, the settings.
    """
    refuse_selectable(body.script_name)
    _refuse_unavailable(body)
    kind, pictures, given = _pictures(body)
    overrides = overrides_of(body.override_settings or {}, studio)
    infotext = fields_in(body.infotext, kind, studio.library) if body.infotext else {}
    own = fields_of(body, body.model_fields_set)
    unsaid = fields_of(type(body)(), type(body).model_fields)
    sampler = str((unsaid | infotext | own)["sampler"])
    found = _suggested(studio, kind, overrides, infotext)
    found |= unsaid | infotext | overrides.fields(kind, sampler)
    found |= fields_of_scripts(body.alwayson_scripts or {}, kind) | own
    found |= own_fields(body.atelier or {}, kind) | given
    found = settled(found, body)
    if found.get("styles"):
        known = {style.name for style in studio.styles.all()}
        found["styles"] = tuple(name for name in found["styles"] if name in known)  # clients know others as ignored
    if body.eta is not None and "eta" in own:
        found["eta"] = _eta(body.eta, sampler, studio)
    return Asked(request=kind(**found), pictures=pictures, overrides=overrides)


def their_problems(error: InvalidRequest) -> HTTPException | InvalidRequest:
    """The same complaint with the API's field names; an unknown sampler in the field's own words."""
    if any(one.field == "sampler" for one in error.problems):
        return HTTPException(400, "Sampler not found")
    if any(one.field == "schedule" for one in error.problems):
        return HTTPException(400, "Scheduler not found")
    return InvalidRequest(*(replace(one, field=their_name(one.field)) for one in error.problems))


# Inside ------------------------------------------------------------------------------------------------------------------


def _suggested(
    studio: Studio, kind: type[ImageRequest], overrides: Overrides, infotext: dict[str, Any]
) -> dict[str, Any]:
    """What the settings and the model say."""
    model = overrides.model
    if model is None:
        model = studio.library.find(infotext["model"]) if "model" in infotext else studio.desk.current_model()
    infotext.pop("model", None)
    return defaults_from(studio.settings, kind) | {"model": model.title, "width": model.width, "height": model.height}


def _refuse_unavailable(body: ImageBody) -> None:
    """Fields that would change the picture and cannot. What clients send along by habit stays allowed."""
    asked = {
        "restore_faces": (bool(body.restore_faces), "Face restoration is"),
        "firstpass_image": (bool(body.firstpass_image), "A first pass brought along is"),
        "latent_mask": (bool(getattr(body, "latent_mask", None)), "A mask for the latents alone is"),
    }
    problems = [
        Problem(field=field, message=f"{what} not available in this version; leave {field} out.")
        for field, (wanted, what) in asked.items()
        if wanted
    ]
    if problems:
        raise InvalidRequest(*problems)


def _pictures(body: ImageBody) -> tuple[type[ImageRequest], tuple[bytes, ...], dict[str, Any]]:
    """The kind of request, its pictures, and the fields that name them by the ids they will have."""
    if not isinstance(body, Image2ImageBody):
        assert isinstance(body, Text2ImageBody)
        return ImageRequest, (), {}
    if not body.init_images:
        raise HTTPException(404, "Init image not found")
    pictures = [image_bytes(one) for one in body.init_images]
    mask = [image_bytes(body.mask)] if body.mask else []
    given: dict[str, Any] = {"init_images": tuple(map(_id, pictures)), "mask": "".join(map(_id, mask))}
    return EditRequest, (*pictures, *mask), given | _batch(body, pictures)


def _batch(body: Image2ImageBody, pictures: Sequence[bytes]) -> dict[str, int]:
    """One picture serves all of a batch; of several each gets its own, and the batch is as large as they are many."""
    if len(pictures) == 1:
        return {}
    if len(pictures) > body.said("batch_size"):
        text = f"{len(pictures)} init images for a batch of {body.said('batch_size')}: send one, or raise batch_size."
        raise KnownFault("RuntimeError", text)
    return {"batch_size": len(pictures)}


def _id(picture: bytes) -> str:
    return hashlib.sha256(picture).hexdigest()


def _kept(studio: Studio, picture: bytes) -> None:
    try:
        studio.inputs.keep(picture)
    except InvalidImage as error:
        raise HTTPException(500, INVALID) from error


def _eta(eta: float, sampler: str, studio: Studio) -> float | None:
    """None where the value says nothing: clients send 1 along with every sampler, and it would stand in every text."""
    if not 0 <= eta <= 1:
        return eta
    try:
        known = studio.catalogue.samplers().find(sampler)
    except UnknownName:
        return eta
    name = eta_setting(known.name)
    usual = eta == studio.settings.registered[name].default == studio.settings.get(name)
    return None if usual or "eta" not in known.options else eta
