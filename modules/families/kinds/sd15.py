"""Stable Diffusion 1.x (Rombach et al. 2022, arXiv:2112.10752; CompVis and Runway, 2022), the starter model included.

Its variants take more channels: mask and masked picture for inpainting, the picture for editing by instruction
(InstructPix2Pix: Brooks et al. 2022, arXiv:2211.09800).
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from modules.core.extension_points import Family, hookimpl
from modules.families import checkpoint
from modules.families.architecture import STABLE_DIFFUSION_1
from modules.families.built import BuildOptions, Built
from modules.families.recognise import is_stable_diffusion_1

NAME = "Stable Diffusion 1.x"
INPAINTING = replace(STABLE_DIFFUSION_1, channels=9)
EDITING = replace(STABLE_DIFFUSION_1, channels=8)

save = checkpoint.save


def build(path: Path, options: BuildOptions) -> Built:
    """The model of this file. Raises InvalidModelFile naming the first tensor that is missing or has another shape."""
    return checkpoint.build(path, options, family=NAME)


@hookimpl
def register_families() -> list[Family]:
    return [
        checkpoint.family_of_files(
            NAME,
            is_stable_diffusion_1,
            STABLE_DIFFUSION_1,
            ("sd1", "sd15"),
            "512 px checkpoints of Stable Diffusion 1.1 to 1.5 and everything trained from them; the starter model.",
        ),
        checkpoint.family_of_files(
            f"{NAME} inpainting",
            partial(is_stable_diffusion_1, channels=9),
            INPAINTING,
            ("sd1-inpaint",),
            "Made to paint what is behind a mask: 9 channels.",
        ),
        checkpoint.family_of_files(
            f"{NAME} InstructPix2Pix",
            partial(is_stable_diffusion_1, channels=8),
            EDITING,
            ("sd1-edit", "ip2p"),
            "Changes a picture as the prompt says: 8 channels.",
        ),
    ]
