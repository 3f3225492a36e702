"""Which base model a file is for, as far as its header tells; for labels on cards, not for loading."""

import re
from collections.abc import Mapping

Shapes = Mapping[str, tuple[int, ...]]

SD1, SD2, SDXL, REFINER, SD3, FLUX = "SD 1.x", "SD 2.x", "SDXL", "SDXL refiner", "SD 3", "Flux"
BY_WIDTH = {768: SD1, 1024: SD2, 2048: SDXL, 1280: REFINER}  # of the text states that cross attention reads
SPECS = (  # ModelSpec's architecture and kohya's base version, by what stands in them; the first that fits
    ("refiner", REFINER),
    ("xl", SDXL),
    ("stable-diffusion-v1", SD1),
    ("stable-diffusion-v2", SD2),
    ("stable-diffusion-3", SD3),
    ("sd3", SD3),
    ("flux", FLUX),
    ("sd_v1", SD1),
    ("sd_1", SD1),
    ("sd_v2", SD2),
    ("sd_2", SD2),
)
CONTEXT = re.compile(r"attn2[._](processor\.)?to_[kv]([._]lora)?[._](lora_down|lora_A|down|hada_w1_b|weight)\b")
FIRST = ("model.diffusion_model.input_blocks.0.0.weight", "conv_in.weight")


def base_of(shapes: Shapes, metadata: Mapping[str, str] = {}) -> str:
    """The base model of a checkpoint, LoRA or embedding, "" when nothing tells.

    >>> base_of({"emb_params": (2, 768)})
    'SD 1.x'
    >>> base_of({}, {"ss_base_model_version": "sdxl_base_v1-0"})
    'SDXL'
    """
    stated = f"{metadata.get('modelspec.architecture', '')} {metadata.get('ss_base_model_version', '')}".casefold()
    found = next((base for mark, base in SPECS if mark in stated), "")
    return (found or _by_shapes(shapes)) + _purpose(shapes)


def native_side(base: str) -> int:
    """The size its pictures had in training."""
    return 1024 if base.startswith((SDXL, SD3, FLUX)) else 768 if base.startswith(SD2) else 512


def _by_shapes(shapes: Shapes) -> str:
    if "clip_g" in shapes:
        return SDXL
    for name in ("emb_params", "clip_l"):
        if shapes.get(name):
            return BY_WIDTH.get(shapes[name][-1], "")
    for name, shape in shapes.items():
        if CONTEXT.search(name) and len(shape) >= 2:
            return BY_WIDTH.get(shape[1], "")
        if "joint_blocks." in name:
            return SD3
        if "double_blocks." in name:
            return FLUX
    return ""


def _purpose(shapes: Shapes) -> str:
    first = next((shapes[name] for name in FIRST if name in shapes), ())
    return {9: " inpainting", 8: " editing"}.get(first[1], "") if len(first) == 4 else ""
