"""Stable Diffusion 2.x (Stability AI, 2022): OpenCLIP's larger text encoder, and for 768 px prediction of v.

v: Salimans and Ho 2022, arXiv:2202.00512. Base (512 px) predicts noise; a file seldom says which it is, so the U-Net is
asked (see `training.py`). The text is taken before the last layer, through the final norm, whatever clip skip says.
"""

from dataclasses import replace
from functools import partial

from modules.core.extension_points import Family, hookimpl
from modules.diffusion.conditioning import Reading
from modules.families import checkpoint
from modules.families.architecture import EPSILON, Architecture
from modules.families.built import Tower
from modules.families.original_layout import Layout
from modules.families.recognise import OPEN_CLIP, is_stable_diffusion_2

NAME = "Stable Diffusion 2.x"
STABLE_DIFFUSION_2 = Architecture(
    configuration="stable_diffusion_2",
    layout=Layout(text={"text_encoder": OPEN_CLIP}, open_clip=("text_encoder",)),
    towers=(Tower(key="clip_h", reading=Reading(layer=-2, skips=False, zero_padding=True)),),
    prediction="",
)
INPAINTING = replace(STABLE_DIFFUSION_2, channels=9, prediction=EPSILON)


@hookimpl
def register_families() -> list[Family]:
    return [
        checkpoint.family_of_files(
            NAME,
            is_stable_diffusion_2,
            STABLE_DIFFUSION_2,
            ("sd2", "sd21"),
            "Stable Diffusion 2.0 and 2.1, of 512 px (noise) and of 768 px (v), and what was trained from them.",
        ),
        checkpoint.family_of_files(
            f"{NAME} inpainting",
            partial(is_stable_diffusion_2, channels=9),
            INPAINTING,
            ("sd2-inpaint",),
            "Made to paint what is behind a mask: 9 channels.",
        ),
    ]
