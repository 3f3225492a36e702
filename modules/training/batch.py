"""What the loop is given to learn from."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Pictures and their texts on the model's device; the subject's rows first, then `priors` rows of class pictures.

    latents: (b, c, h, w), float32, scaled. text: (b, t, d). vector: (b, v), SDXL's. With class pictures b is twice the
    plan's batch size.
    """

    latents: Tensor
    text: Tensor
    vector: Tensor | None = None
    priors: int = 0


class Data(Protocol):
    """Where batches come from."""

    def batch(self, step: int, micro: int = 0, rank: int = 0, ranks: int = 1) -> Batch:
        """`step`: how many have been taken before, from 0; `micro`: which of its accumulated batches. See `chance.rows`."""
        ...

    def epoch(self, step: int) -> float:
        """How often all pictures have been seen after so many steps."""
        ...
