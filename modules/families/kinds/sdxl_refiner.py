"""The refiner of Stable Diffusion XL (Podell et al. 2023, arXiv:2307.01952, §2.5), which draws the last steps.

It has the larger text encoder only, and is told how pleasing the picture is to be in place of its target size.
"""

from modules.core.extension_points import Family, hookimpl
from modules.families import checkpoint
from modules.families.architecture import Architecture
from modules.families.built import Sizes
from modules.families.kinds.sdxl import BIG_G
from modules.families.original_layout import Layout
from modules.families.recognise import XL_REFINER, is_refiner

SCORES = (6.0, 2.5)  # for the prompt and for the negative prompt

REFINER = Architecture(
    configuration="stable_diffusion_xl_refiner",
    layout=Layout(text={"text_encoder_2": XL_REFINER}, open_clip=("text_encoder_2",)),
    towers=(BIG_G,),
    sizes=Sizes(scores=SCORES),
)


@hookimpl
def register_families() -> list[Family]:
    return [
        checkpoint.family_of_files(
            "Stable Diffusion XL refiner",
            is_refiner,
            REFINER,
            ("sdxl-refiner", "refiner"),
            "Draws the last steps of a picture that an SDXL model began.",
        )
    ]
