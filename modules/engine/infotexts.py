"""What is written into a picture beside its prompts: every value that had an effect, under the field's names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.core.requests import EditRequest, FileRecord, ImageRequest, ModelRecord
from modules.engine.embeddings import letters
from modules.prompts.attention import uses_emphasis
from modules.prompts.networks import cut_networks

VERSION = "Atelier-0.1.0"  # no version that readers know: theirs would switch old behaviour on


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a picture's text needs to know beside the request."""

    sampler: str
    schedule: str
    ensd_counts: bool
    takes: frozenset[str]  # names of sampling options that the sampler listens to
    record: ModelRecord
    refiner: ModelRecord | None = None
    hires_model: ModelRecord | None = None
    hires_sampler: str = ""
    hires_schedule: str = ""
    vae: FileRecord | None = None
    networks: Sequence[FileRecord] = ()
    embeddings: Sequence[FileRecord] = ()
    edits_by_instruction: bool = False
    inpainting_model: bool = False
    masked: bool = False


def pairs_of(request: ImageRequest, facts: Facts, index: int) -> Mapping[str, object]:
    """All pairs of picture `index`; None is left out. The writer puts them into the field's order."""
    varied = request.subseed_strength > 0
    resized = request.seed_resize_from_w > 0 and request.seed_resize_from_h > 0
    return {
        "Steps": request.steps,
        "Sampler": facts.sampler,
        "Schedule type": facts.schedule,
        "CFG scale": brief(request.cfg_scale),
        "Seed": seed_of(request, index),
        "Size": f"{request.width}x{request.height}",
        "Model hash": facts.record.short_hash or None,
        "Model": stem(facts.record),
        "FP8 weight": request.fp8 if request.fp8 != "Disable" else None,
        "VAE hash": (facts.vae.short_hash or None) if facts.vae else None,
        "VAE": Path(facts.vae.path).name if facts.vae else None,
        "Variation seed": request.subseed + index if varied else None,
        "Variation seed strength": brief(request.subseed_strength) if varied else None,
        "Seed resize from": f"{request.seed_resize_from_w}x{request.seed_resize_from_h}" if resized else None,
        "Clip skip": request.clip_skip if request.clip_skip > 1 else None,
        "ENSD": request.ensd if request.ensd and facts.ensd_counts and request.eta != 0 else None,
        "Token merging ratio": _unless(request.token_merging_ratio, 0),
        "Token merging ratio hr": _unless(request.token_merging_ratio_hr, 0) if request.enable_hr else None,
        "RNG": request.noise_source if request.noise_source != "GPU" else None,
        "Tiling": True if request.tiling else None,
        **_sampling(request, facts.takes),
        **_guidance(request),
        **_texts(request, facts, index),
        **(_hires(request, facts, index) if request.enable_hr and not isinstance(request, EditRequest) else {}),
        **(_edit(request, facts) if isinstance(request, EditRequest) else {}),
        **_refiner(request, facts),
        "Version": VERSION,
    }


def seed_of(request: ImageRequest, index: int) -> int:
    """The seed of picture `index`: all the same when there is a variation strength."""
    return request.seed if request.subseed_strength > 0 else request.seed + index


def _sampling(request: ImageRequest, takes: frozenset[str]) -> dict[str, object]:
    known: dict[str, tuple[str, Any]] = {
        "Eta": ("eta", None),
        "Sigma churn": ("s_churn", 0),
        "Sigma tmin": ("s_tmin", 0),
        "Sigma tmax": ("s_tmax", 0),
        "Sigma noise": ("s_noise", 1),
        "Schedule min sigma": ("sigma_min", 0),
        "Schedule max sigma": ("sigma_max", 0),
        "Schedule rho": ("rho", 0),
        "Beta schedule alpha": ("beta_alpha", 0.6),
        "Beta schedule beta": ("beta_beta", 0.6),
        "UniPC order": ("unipc_order", 3),
    }
    pairs: dict[str, object] = {
        key: _unless(getattr(request, name), usual) for key, (name, usual) in known.items() if name in takes
    }
    return pairs | {
        "Discard penultimate sigma": True if request.discard_penultimate else None,
        "SGM noise multiplier": True if request.sgm_noise else None,
        "Noise Schedule": request.noise_schedule if request.noise_schedule != "Default" else None,
    }


def _guidance(request: ImageRequest) -> dict[str, object]:
    other = request.guidance != "CFG"
    return {
        "Guidance": request.guidance if other else None,
        "Guidance rescale": brief(request.guidance_rescale) if request.guidance == "CFG rescale" else None,
        "Threshold percentile": request.threshold_percentile if request.guidance == "Dynamic thresholding" else None,
        "CFG interval start": _unless(request.cfg_start, 0),
        "CFG interval end": _unless(request.cfg_end, 1),
        "Skip Early CFG": _unless(request.skip_early_cond, 0),
        "NGMS": _unless(request.s_min_uncond, 0),
        "NGMS all steps": True if request.s_min_uncond and request.ngms_all_steps else None,
    }


def _texts(request: ImageRequest, facts: Facts, index: int) -> dict[str, object]:
    prompts = (request.prompt_of(index), request.negative_of(index))
    emphasised = any(map(uses_emphasis, prompts))
    return {
        "Emphasis": request.emphasis if emphasised and request.emphasis != "Original" else None,
        "Pad conds": True if request.pad_conds else None,
        "Old prompt editing timelines": True if request.old_editing and any("[" in one for one in prompts) else None,
        "TI hashes": _hashes(facts.embeddings),
        "Lora hashes": _hashes(facts.networks),
        "Template": request.template or None,
        "Negative Template": request.negative_template or None,
    }


def _hashes(files: Sequence[FileRecord]) -> str | None:
    pairs = [f"{_plain(one.alias or one.name)}: {one.short_hash}" for one in files if one.short_hash]
    return ", ".join(pairs) or None


def _plain(name: str) -> str:
    return name.replace(":", "").replace(",", "")


def _hires(request: ImageRequest, facts: Facts, index: int) -> dict[str, object]:
    by_size = request.hr_resize_x or request.hr_resize_y
    prompt, negative = request.hires_prompt_of(index), request.hires_negative_of(index)
    return {
        "Denoising strength": brief(request.denoising_strength),
        "Hires checkpoint": stem(facts.hires_model) if facts.hires_model else None,
        "Hires sampler": facts.hires_sampler if facts.hires_sampler != facts.sampler else None,
        "Hires schedule type": facts.hires_schedule if facts.hires_schedule != facts.schedule else None,
        "Hires prompt": prompt if prompt != request.prompt_of(index) else None,
        "Hires negative prompt": negative if negative != request.negative_of(index) else None,
        "Hires upscale": None if by_size else brief(request.hr_scale),
        "Hires resize": f"{request.hr_resize_x}x{request.hr_resize_y}" if by_size else None,
        "Hires steps": request.hr_steps or None,
        "Hires upscaler": request.hr_upscaler,
    }


def _edit(request: EditRequest, facts: Facts) -> dict[str, object]:
    pairs: dict[str, object] = {
        "Denoising strength": brief(request.denoising_strength),
        "Image CFG scale": brief(request.image_cfg_scale) if facts.edits_by_instruction else None,
        "Conditional mask weight": brief(request.inpainting_mask_weight) if facts.inpainting_model else None,
        "Noise multiplier": _unless(request.initial_noise_multiplier, 1),
        "Extra noise": _unless(request.extra_noise, 0),
    }
    if facts.masked:
        pairs |= _mask(request)
    if any(request.outpaint):
        pairs["Outpaint"] = " ".join(str(side) for side in request.outpaint)
    return pairs


def _mask(request: EditRequest) -> dict[str, object]:
    only = request.inpaint_area == "Only masked"
    pairs: dict[str, object] = {
        "Mask mode": request.mask_mode if request.mask_mode != "Inpaint masked" else None,
        "Mask blur": request.mask_blur_x or request.mask_blur_y,
        "Inpaint area": request.inpaint_area if only else None,
        "Masked area padding": request.inpaint_padding if only else None,
        "Masked content": request.masked_content if request.masked_content != "original" else None,
    }
    if request.soft_inpainting:
        pairs |= {
            "Soft inpainting enabled": True,
            "Soft inpainting schedule bias": brief(request.soft_power),
            "Soft inpainting preservation strength": brief(request.soft_scale),
            "Soft inpainting transition contrast boost": brief(request.soft_detail),
        }
    return pairs


def _refiner(request: ImageRequest, facts: Facts) -> dict[str, object]:
    if facts.refiner is None:
        return {}
    name = stem(facts.refiner)
    return {
        "Refiner": f"{name} [{facts.refiner.short_hash}]" if facts.refiner.short_hash else name,
        "Refiner switch at": brief(request.refiner_switch_at),
        "Refiner switch by sampling steps": True if request.refiner_by_steps else None,
    }


def used_files(request: ImageRequest, files: Sequence[FileRecord]) -> tuple[list[FileRecord], list[FileRecord]]:
    """(LoRAs, embeddings) that the request's prompts name."""
    prompts = {request.prompt_of(index) for index in range(request.images)}
    negatives = {request.negative_of(index) for index in range(request.images)}
    names = {one.name for prompt in prompts for one in cut_networks(prompt)[1]}
    loras = [one for one in files if one.kind == "lora" and {one.name, one.alias} & names]
    texts = [letters(text) for text in prompts | negatives]
    embeddings = [one for one in files if one.kind == "embedding" and any(letters(one.name) in text for text in texts)]
    return ([] if request.disable_extra_networks else loras), embeddings


def stem(record: ModelRecord) -> str:
    """The file's name without its last extension; "v1.5.safetensors" is "v1.5"."""
    return Path(record.path).stem


def brief(number: float) -> int | float:
    """7.0 is written as 7, as people type it."""
    return int(number) if number == int(number) else number


def _unless(value: Any, usual: Any) -> Any:
    return None if value is None or value == usual else (brief(value) if isinstance(value, float) else value)
