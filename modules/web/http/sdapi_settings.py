"""`override_settings` of the field's API: settings that hold for one request."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modules.core.errors import InvalidOption, InvalidRequest, Problem, UnknownName
from modules.core.requests import ImageRequest, ModelRecord
from modules.core.settings import Value
from modules.services.studio import Studio
from modules.web.http.answers import KnownFault

MODEL = "sd_model_checkpoint"
IN_REQUEST = {
    "CLIP_stop_at_last_layers": "clip_skip",
    "emphasis": "emphasis",
    "comma_padding_backtrack": "comma_backtrack",
    "randn_source": "noise_source",
}
OWN_VAE = ("", "None", "Automatic", None)  # values of `sd_vae` that mean the one in the checkpoint


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """Checked settings for one request; `model` is None where they name none that is there."""

    values: Mapping[str, Value] = field(default_factory=dict)
    model: ModelRecord | None = None

    def applied_to(self, request: ImageRequest) -> ImageRequest:
        """The request with them. What it says itself (eta) stays."""
        fields: dict[str, Any] = {ours: self.values[name] for name, ours in IN_REQUEST.items() if name in self.values}
        eta = eta_setting(request.sampler)
        if request.eta is None and eta in self.values:
            fields["eta"] = self.values[eta]
        return replace(request, **fields)


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
        if name == "sd_vae" and value in OWN_VAE:
            continue
        checked = checked_setting(name, value, studio)
        if name == MODEL:
            model = _model(str(value), studio)
            if model is None:
                continue
        values[name] = checked
    return Overrides(values=values, model=model)


def checked_setting(name: str, value: Any, studio: Studio) -> Value:
    """A value in its setting's type. Raises InvalidRequest when it cannot have it, KnownFault when there is no such."""
    setting = studio.settings.registered.get(name)
    if setting is None:
        raise KnownFault("KeyError", repr(name[:200]))
    try:
        return setting.checked(value)
    except InvalidOption as error:
        raise InvalidRequest(Problem(field=name, message=f"{error}.")) from error


def _model(name: str, studio: Studio) -> ModelRecord | None:
    try:
        return studio.library.find(name) if name else None
    except UnknownName:
        return None
