"""`override_settings` of the field's API: settings that hold for one request. And which settings no client may touch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import HTTPException

from modules.core.errors import InvalidOption, InvalidRequest, Problem, UnknownName
from modules.core.places import Places
from modules.core.requests import ImageRequest, ModelRecord
from modules.core.settings import Value
from modules.services.request_defaults import fields_from
from modules.services.studio import Studio
from modules.web.http.answers import KnownFault

MODEL = "sd_model_checkpoint"
HASH = "sd_checkpoint_hash"
BACKGROUND = "img2img_background_color"
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
# Never set over HTTP, in silence: the first is a result, the others would let a client open what is closed.
IGNORED = frozenset({HASH, "api_enable_requests", "api_forbid_local_requests", "api_useragent"})


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """Checked settings for one request; `model` is None where they name none that is there."""

    values: Mapping[str, Value] = field(default_factory=dict)
    model: ModelRecord | None = None

    def fields(self, kind: type[ImageRequest], sampler: str) -> dict[str, Any]:
        """What they say of a request."""
        found = fields_from(self.values, kind)
        eta = eta_setting(sampler)
        return found | ({"eta": self.values[eta]} if eta in self.values else {})


def eta_setting(sampler: str) -> str:
    """The field has one setting for DDIM and one for all other samplers."""
    return "eta_ddim" if sampler.casefold().startswith("ddim") else "eta_ancestral"


def overrides_of(asked: Mapping[str, Any], studio: Studio) -> Overrides:
    """Raises as `checked_setting` does.

    A checkpoint that is not there is left out, as clients know it.
    """
    values: dict[str, Value] = {}
    model = None
    for name, value in asked.items():
        if name in IGNORED:
            continue
        checked = checked_setting(name, value, studio)
        if name == MODEL:
            model = _model(str(value), studio)
            if model is None:
                continue
        values[name] = checked
    return Overrides(values=values, model=model)


def checked_setting(name: str, value: Any, studio: Studio) -> Value:
    """A value in its setting's type.

    Raises InvalidRequest when it cannot have it, KnownFault when there is no such setting, HTTPException 403 for what
    only whoever starts the server may say.
    """
    if name in folders_told(studio.places):
        raise HTTPException(403, f"{name} is no setting here: folders are chosen on the command line, not over HTTP.")
    setting = studio.settings.registered.get(name)
    if setting is None:
        raise KnownFault("KeyError", repr(name[:200]))
    if name == "sd_vae" and value == "":
        value = setting.default
    if name == BACKGROUND and not COLOUR.fullmatch(str(value)):
        raise InvalidRequest(Problem(field=name, message=f"{name} is {str(value)[:80]!r}; write a colour as #rrggbb."))
    try:
        return setting.checked(value)
    except InvalidOption as error:
        raise InvalidRequest(Problem(field=name, message=f"{error}.")) from error


def folders_told(places: Places) -> dict[str, str]:
    """Where pictures go, as clients read it; below the data folder, and nothing a client can change."""
    pictures = f"{places.outputs.name}/{places.pictures.name}"
    edits = f"{places.outputs.name}/img2img-images"
    extras = f"{places.outputs.name}/extras-images"
    return {
        "outdir_samples": "",
        "outdir_txt2img_samples": pictures,
        "outdir_img2img_samples": edits,
        "outdir_extras_samples": extras,
        "outdir_grids": "",
        "outdir_txt2img_grids": pictures,
        "outdir_img2img_grids": edits,
        "outdir_save": pictures,
        "outdir_init_images": f"{places.outputs.name}/{places.inputs.name}",
    }


def _model(name: str, studio: Studio) -> ModelRecord | None:
    try:
        return studio.library.find(name) if name else None
    except UnknownName:
        return None
