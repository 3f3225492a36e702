"""What settings say about a request that says nothing itself: one table, setting -> field."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from modules.core.settings import Value
from modules.services.settings import Settings

FIELD_OF: Mapping[str, str] = {
    "samples_save": "save",
    # the model and how it reads text
    "sd_vae": "vae",
    "fp8_storage": "fp8",
    "tiling": "tiling",
    "CLIP_stop_at_last_layers": "clip_skip",
    "emphasis": "emphasis",
    "comma_padding_backtrack": "comma_backtrack",
    "pad_cond_uncond": "pad_conds",
    "use_old_scheduling": "old_editing",
    "token_merging_ratio": "token_merging_ratio",
    "token_merging_ratio_hr": "token_merging_ratio_hr",
    # randomness and sampling; eta has one setting for DDIM and one for all others, which the desk tells apart
    "randn_source": "noise_source",
    "eta_noise_seed_delta": "ensd",
    "s_churn": "s_churn",
    "s_tmin": "s_tmin",
    "s_tmax": "s_tmax",
    "s_noise": "s_noise",
    "sigma_min": "sigma_min",
    "sigma_max": "sigma_max",
    "rho": "rho",
    "beta_dist_alpha": "beta_alpha",
    "beta_dist_beta": "beta_beta",
    "always_discard_next_to_last_sigma": "discard_penultimate",
    "sgm_noise_multiplier": "sgm_noise",
    "sd_noise_schedule": "noise_schedule",
    "uni_pc_order": "unipc_order",
    "s_min_uncond": "s_min_uncond",
    "s_min_uncond_all": "ngms_all_steps",
    "skip_early_cond": "skip_early_cond",
    # pictures from pictures
    "img2img_fix_steps": "exact_steps",
    "img2img_color_correction": "color_correction",
    "img2img_background_color": "background",
    "initial_noise_multiplier": "initial_noise_multiplier",
    "img2img_extra_noise": "extra_noise",
    "inpainting_mask_weight": "inpainting_mask_weight",
    # pictures made larger
    "ESRGAN_tile": "tile",
    "ESRGAN_tile_overlap": "tile_overlap",
}
EDITS_TOO = "token_merging_ratio_img2img"  # when it is set, edits take it instead of token_merging_ratio


def defaults_from(settings: Settings, request_class: type[Any]) -> dict[str, Any]:
    """Field -> value for every field of `request_class` that a setting decides about."""
    return fields_from(settings.all(), request_class)


def fields_from(values: Mapping[str, Value], request_class: type[Any]) -> dict[str, Any]:
    """The same for some settings only, such as those that a client sends along with one request."""
    there = {one.name for one in fields(request_class)}
    found: dict[str, Any] = {
        field: values[name] for name, field in FIELD_OF.items() if field in there and name in values
    }
    if "init_images" in there and values.get(EDITS_TOO):
        found["token_merging_ratio"] = values[EDITS_TOO]
    return found
