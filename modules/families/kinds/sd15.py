"""Stable Diffusion 1.x (Rombach et al. 2022, arXiv:2112.10752; CompVis and Runway, 2022), the starter model included."""

from collections.abc import Mapping
from pathlib import Path

from modules.core.extension_points import Family, hookimpl
from modules.families import checkpoint
from modules.families.built import BuildOptions, Built
from modules.families.recognise import is_stable_diffusion_1

NAME = "Stable Diffusion 1.x"


def build(path: Path, options: BuildOptions) -> Built:
    """The model of this file. Raises InvalidModelFile naming the first tensor that is missing or has another shape."""
    return checkpoint.build(path, options, family=NAME)


def save(model: Built, path: Path, metadata: Mapping[str, str]) -> None:
    """Write the model in the original layout, in float16."""
    checkpoint.save(model, path, metadata)


@hookimpl
def register_families() -> list[Family]:
    return [
        Family(
            name=NAME,
            matches=is_stable_diffusion_1,
            build=build,
            save=save,
            aliases=("sd1", "sd15"),
            note="512 px checkpoints of Stable Diffusion 1.1 to 1.5 and everything trained from them; the starter model.",
        )
    ]
