"""What tells one kind of checkpoint from another: where its networks lie and how its text encoders are read."""

from dataclasses import dataclass, field

from modules.diffusion.conditioning import Reading
from modules.families.built import Sizes, Tower
from modules.families.original_layout import Layout

EPSILON, VELOCITY = "epsilon", "v_prediction"  # diffusers' words


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A kind of checkpoint. `configuration`: name of the bundled one. `channels`: what its U-Net takes.

    `prediction`: what the U-Net predicts when the file says nothing; "" is found out by asking the U-Net.
    """

    configuration: str = "stable_diffusion_1"
    channels: int = 4
    layout: Layout = field(default_factory=Layout)
    towers: tuple[Tower, ...] = (Tower(),)
    sizes: Sizes | None = None
    prediction: str = EPSILON


STABLE_DIFFUSION_1 = Architecture()
PENULTIMATE = Reading(layer=-2, normed=False, skips=False)
