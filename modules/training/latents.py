"""Pictures as latents: the autoencoder's posterior is worked out once for each picture, and drawn from at every step.

Rombach et al. 2022, arXiv:2112.10752, §3.1: the encoder gives mean and deviation of a normal distribution.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from modules.core.errors import NotFinite
from modules.core.training import TrainingPlan
from modules.training.learner import Model
from modules.training.pictures import Example, Pixels


@dataclass(frozen=True, eq=False)
class Posterior:
    """Mean and standard deviation (c, h, w), float32, on the CPU, of latents that are not scaled yet."""

    mean: Tensor
    deviation: Tensor

    def drawn(self, chance: Generator | None) -> Tensor:
        """Latents (c, h, w): a draw, or the mean without chance."""
        if chance is None:
            return self.mean
        return self.mean + self.deviation * torch.randn(self.mean.shape, generator=chance)


@dataclass(frozen=True)
class Frame:
    """The window of a picture at one step, and whether it is mirrored."""

    left: int
    top: int
    mirrored: bool

    def crop(self, example: Example) -> tuple[int, int]:
        """(top, left) of the window in the resized picture, as SDXL is told; mirrored, left is what was right."""
        left = example.room[0] - self.left if self.mirrored else self.left
        return example.crop[1] + self.top, example.crop[0] + left


def frame_of(example: Example, plan: TrainingPlan, chance: Generator) -> Frame:
    """What is seen of a picture at one step. As many numbers are drawn whatever comes out."""
    x, y, flip = torch.rand(3, generator=chance).tolist()
    right, down = example.room
    left, top = int(x * (right + 1)), int(y * (down + 1))
    return Frame(min(left, right), min(top, down), plan.random_flip and flip < 0.5)


def still_frames(example: Example, plan: TrainingPlan) -> list[Frame]:
    """Every frame that a picture can have, if they are few: mirrored and not. None for a window that moves."""
    if example.room != (0, 0):
        return []
    return [Frame(0, 0, mirrored) for mirrored in ((False, True) if plan.random_flip else (False,))]


class Latents:
    """Posteriors of pictures; those of frames that come back are kept, if wanted."""

    def __init__(self, model: Model, *, keep: bool) -> None:
        self._model, self._keep = model, keep
        self._kept: dict[tuple[Any, Frame], Posterior] = {}

    def posterior(self, key: Any, example: Example, frame: Frame) -> Posterior:
        """The posterior of what is seen of a picture; `key` tells pictures (and their sizes) apart."""
        if (key, frame) in self._kept:
            return self._kept[key, frame]
        pixels = example.window(frame.left, frame.top)
        found = encoded(self._model, pixels[:, ::-1] if frame.mirrored else pixels, example.name)
        if self._keep and example.room == (0, 0):
            self._kept[key, frame] = found
        return found

    def scaled(self, posterior: Posterior, chance: Generator | None) -> Tensor:
        """Latents (c, h, w) as the U-Net sees them."""
        return posterior.drawn(chance) * self._model.scaling_factor


def tensor_of(pixels: Pixels) -> Tensor:
    """Pixels (h, w, 3) as the autoencoder sees them: (1, 3, h, w), -1 to 1."""
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 127.5 - 1


def encoded(model: Model, pixels: Pixels, name: str = "") -> Posterior:
    """The posterior of one picture. Half precision that overflows is tried again in 32 bits; raises NotFinite."""
    vae = model.vae
    number = next(vae.parameters()).dtype
    found = _encoded(model, pixels, number)
    if not _finite(found) and number != torch.float32:
        vae.to(torch.float32)
        try:
            found = _encoded(model, pixels, torch.float32)
        finally:
            vae.to(number)
    if not _finite(found):
        raise NotFinite(
            f"The autoencoder gave no numbers (NaN) for {name or 'a picture'}; choose another VAE or model."
        )
    return found


@torch.no_grad()  # inference mode would not let gradients pass by its tensors
def _encoded(model: Model, pixels: Pixels, number: torch.dtype) -> Posterior:
    put = tensor_of(pixels).to(model.device, number).contiguous(memory_format=torch.channels_last)
    with torch.autocast(model.device.type, enabled=False):  # the loop may have one on
        posterior = model.vae.encode(put).latent_dist
    return Posterior(posterior.mean[0].float().cpu(), posterior.std[0].float().cpu())


def _finite(posterior: Posterior) -> bool:
    return bool(torch.isfinite(posterior.mean).all() and torch.isfinite(posterior.deviation).all())
