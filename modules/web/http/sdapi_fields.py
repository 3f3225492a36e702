"""Between the names of the field's API and those of our requests: one table, and the few rules that are no table."""

from collections.abc import Callable, Container, Mapping
from dataclasses import Field, dataclass, fields
from typing import Any

from modules.core.errors import InvalidRequest, Problem
from modules.core.fields import Shown, shown_fields
from modules.core.image_fields import HiresFields
from modules.core.named import closest
from modules.core.requests import AREAS, FILLS, MASK_MODES, RESIZE_MODES, EditRequest, ImageRequest
from modules.services.request_defaults import FIELD_OF
from modules.web.http.sdapi_body import ImageBody

HIRES_STRENGTH = 0.75  # of a second pass whose strength the client leaves open


def _as_it_is(value: Any) -> Any:
    return value


def _size(value: int) -> int:
    """-1 and 0 are off."""
    return max(0, value)


def _other(name: str) -> str:
    """A name, or "" for what means the same as in the first pass."""
    return "" if name.strip().casefold() in ("none", "automatic") or name.casefold().startswith("use same") else name


@dataclass(frozen=True)
class Into:
    """Where a field of the API goes, and how its value is read."""

    field: str
    read: Callable[[Any], Any] = _as_it_is


def _one_of(name: str, values: tuple[str, ...]) -> Callable[[Any], Any]:
    def read(number: int) -> str:
        if not 0 <= number < len(values):
            message = f"{name} is {str(number)[:20]}; it must be between 0 and {len(values) - 1}."
            raise InvalidRequest(Problem(field=name, message=message))
        return values[number]

    return read


TABLE: Mapping[str, Into] = {
    "prompt": Into("prompt"),
    "negative_prompt": Into("negative_prompt"),
    "styles": Into("styles", tuple),
    "seed": Into("seed"),
    "subseed": Into("subseed"),
    "subseed_strength": Into("subseed_strength"),
    "seed_resize_from_w": Into("seed_resize_from_w", _size),
    "seed_resize_from_h": Into("seed_resize_from_h", _size),
    "scheduler": Into("schedule", lambda name: _other(name) or "Automatic"),
    "batch_size": Into("batch_size"),
    "n_iter": Into("batch_count"),
    "steps": Into("steps"),
    "cfg_scale": Into("cfg_scale"),
    "width": Into("width"),
    "height": Into("height"),
    "tiling": Into("tiling"),
    "eta": Into("eta"),
    "denoising_strength": Into("denoising_strength"),
    "s_min_uncond": Into("s_min_uncond"),
    "s_churn": Into("s_churn"),
    "s_tmax": Into("s_tmax"),
    "s_tmin": Into("s_tmin"),
    "s_noise": Into("s_noise"),
    "refiner_checkpoint": Into("refiner_model", _other),
    "refiner_switch_at": Into("refiner_switch_at"),
    "disable_extra_networks": Into("disable_extra_networks"),
    "save_images": Into("save"),
    # txt2img
    "enable_hr": Into("enable_hr"),
    "hr_scale": Into("hr_scale"),
    "hr_upscaler": Into("hr_upscaler"),
    "hr_second_pass_steps": Into("hr_steps"),
    "hr_resize_x": Into("hr_resize_x"),
    "hr_resize_y": Into("hr_resize_y"),
    "hr_checkpoint_name": Into("hr_model", _other),
    "hr_sampler_name": Into("hr_sampler", _other),
    "hr_scheduler": Into("hr_schedule", _other),
    "hr_prompt": Into("hr_prompt"),
    "hr_negative_prompt": Into("hr_negative_prompt"),
    # img2img
    "resize_mode": Into("resize_mode", _one_of("resize_mode", RESIZE_MODES)),
    "image_cfg_scale": Into("image_cfg_scale"),
    "mask_blur_x": Into("mask_blur_x"),
    "mask_blur_y": Into("mask_blur_y"),
    "mask_round": Into("mask_round"),
    "inpainting_fill": Into("masked_content", _one_of("inpainting_fill", FILLS)),
    "inpaint_full_res": Into("inpaint_area", lambda only_masked: AREAS[bool(only_masked)]),
    "inpaint_full_res_padding": Into("inpaint_padding"),
    "inpainting_mask_invert": Into("mask_mode", lambda inverted: MASK_MODES[bool(inverted)]),
    "initial_noise_multiplier": Into("initial_noise_multiplier"),
}
THEIRS = {into.field: name for name, into in TABLE.items()} | {
    "sampler": "sampler_name",
    "outpaint": "atelier",
    "init_images": "init_images",
    "mask": "mask",
}


def their_name(field: str) -> str:
    """What the API calls a field of ours: its own name, or where in the body such fields stand."""
    if field in THEIRS or field not in _ALL:
        return THEIRS.get(field, field)
    return "override_settings" if field in _IN_SETTINGS else "atelier"


_ALL = {one.name for one in fields(EditRequest)}
_IN_SETTINGS = {"model", *FIELD_OF.values()}


def typed(field: Field[Any], known: Shown, value: Any, where: str) -> Any:
    """A value in its field's type. Raises InvalidRequest, blaming `where`."""
    default, text = field.default, str(value).strip()
    try:
        if isinstance(value, list | dict):
            raise ValueError
        if isinstance(default, str):
            return text
        if isinstance(default, bool):
            return {"true": True, "1": True, "false": False, "0": False}[text.casefold()]
        if isinstance(value, bool):
            raise ValueError
        return int(text) if isinstance(default, int) and "." not in text else type(default or 0.0)(float(text))
    except (ValueError, KeyError, OverflowError) as error:
        wanted = "true or false" if isinstance(default, bool) else "a text" if isinstance(default, str) else "a number"
        message = f"{known.label} is {text[:80]!r}; it must be {wanted}."
        raise InvalidRequest(Problem(field=where, message=message)) from error


def own_fields(asked: Mapping[str, Any], kind: type[ImageRequest]) -> dict[str, Any]:
    """Fields of ours that the field's API has no name for, under our own. Raises InvalidRequest for what there is not."""
    known = {one.name: (one, shown) for one, shown in shown_fields(kind)}
    found: dict[str, Any] = {}
    for name, value in asked.items():
        if value is None:
            continue
        if name == "outpaint" and kind is EditRequest:
            found[name] = _sides(value)
        elif name in known:
            found[name] = typed(*known[name], value, "atelier")
        else:
            meant = closest(name, known)
            hint = f"; did you mean {meant!r}?" if meant else "."
            raise InvalidRequest(Problem(field="atelier", message=f"There is no field {name[:80]!r}{hint}"))
    return found


def _sides(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) != 4 or not all(type(one) is int for one in value):  # pyright: ignore
        message = "Outpainting is four whole numbers of pixels: left, up, right, down."
        raise InvalidRequest(Problem(field="atelier", message=message))
    return tuple(value)  # pyright: ignore[reportUnknownVariableType]


def fields_of(body: ImageBody, names: Container[str]) -> dict[str, Any]:
    """Our fields as far as the body's fields in `names` say something; `null` says the default, if there is one."""
    known = [name for name in type(body).model_fields if name in TABLE and name in names]
    found = {TABLE[name].field: TABLE[name].read(value) for name in known if (value := body.said(name)) is not None}
    if "mask_blur" in names and (blur := getattr(body, "mask_blur", None)) is not None:
        found |= {"mask_blur_x": blur, "mask_blur_y": blur}
    if "sampler_name" in names and body.sampler_name:
        found["sampler"] = body.sampler_name
    elif "sampler_index" in names and body.said("sampler_index"):
        found["sampler"] = body.said("sampler_index")
    return found


def settled(found: Mapping[str, Any], body: ImageBody) -> dict[str, Any]:
    """Groups that hold together: no second pass, no refiner, no size of seeds where none is asked for; and the old way to ask for one."""
    news = dict(found)
    _check_strength(body.denoising_strength)
    if not news.get("refiner_model"):
        news.pop("refiner_switch_at", None)
    if not (news.get("seed_resize_from_w") and news.get("seed_resize_from_h")):
        news |= {"seed_resize_from_w": 0, "seed_resize_from_h": 0}
    if "init_images" in type(body).model_fields:
        return news
    if not news.get("enable_hr"):
        return {name: value for name, value in news.items() if name not in _HIRES}
    return {"denoising_strength": HIRES_STRENGTH} | news | _first_phase(body, news)


_HIRES = {one.name for one in fields(HiresFields)}


def _first_phase(body: ImageBody, news: Mapping[str, Any]) -> dict[str, Any]:
    """firstphase_width and _height are the first pass; then width and height are those of the second."""
    width, height = (_size(getattr(body, name, 0) or 0) for name in ("firstphase_width", "firstphase_height"))
    if not width and not height:
        return {}
    final = {"hr_resize_x": news["width"], "hr_resize_y": news["height"]}
    shape = news["width"] / max(1, news["height"])
    return final | {"width": width or _eights(height * shape), "height": height or _eights(width / shape)}


def _eights(length: float) -> int:
    return max(8, round(length / 8) * 8)


def _check_strength(strength: float | None) -> None:
    """Also where it means nothing: clients show what they were told."""
    if strength is not None and not 0 <= strength <= 1:
        message = f"Denoising strength is {strength:g}; it must be between 0 and 1."
        raise InvalidRequest(Problem(field="denoising_strength", message=message))
