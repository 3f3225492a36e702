"""Stable Diffusion XL (Podell et al. 2023, arXiv:2307.01952): two text encoders, and sizes told beside the text.

Both encoders are read before their last layer without its norm; the second one's projected state goes with the sizes.
"""

from dataclasses import replace
from functools import partial

from modules.core.extension_points import Family, hookimpl
from modules.families import checkpoint
from modules.families.architecture import PENULTIMATE, Architecture
from modules.families.built import Sizes, Tower
from modules.families.original_layout import Layout
from modules.families.recognise import XL_CLIP, XL_OPEN_CLIP, is_stable_diffusion_xl

NAME = "Stable Diffusion XL"
BIG_G = Tower(part="text_encoder_2", key="clip_g", reading=replace(PENULTIMATE, pooled=True, zero_padding=True))
STABLE_DIFFUSION_XL = Architecture(
    configuration="stable_diffusion_xl",
    layout=Layout(text={"text_encoder": XL_CLIP, "text_encoder_2": XL_OPEN_CLIP}, open_clip=("text_encoder_2",)),
    towers=(Tower(reading=PENULTIMATE), BIG_G),
    sizes=Sizes(zeroed=True),
)
INPAINTING = replace(STABLE_DIFFUSION_XL, channels=9)
EDITING = replace(STABLE_DIFFUSION_XL, channels=8)


@hookimpl
def register_families() -> list[Family]:
    return [
        checkpoint.family_of_files(
            NAME,
            is_stable_diffusion_xl,
            STABLE_DIFFUSION_XL,
            ("sdxl", "xl"),
            "1024 px checkpoints of SDXL 1.0 and everything trained from it, those that predict v included.",
        ),
        checkpoint.family_of_files(
            f"{NAME} inpainting",
            partial(is_stable_diffusion_xl, channels=9),
            INPAINTING,
            ("sdxl-inpaint",),
            "Made to paint what is behind a mask: 9 channels.",
        ),
        checkpoint.family_of_files(
            f"{NAME} InstructPix2Pix",
            partial(is_stable_diffusion_xl, channels=8),
            EDITING,
            ("sdxl-edit",),
            "Changes a picture as the prompt says: 8 channels.",
        ),
    ]
