"""What a build goes on from that does not begin from nothing: a finished model, such as the one in the repository."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPModel

from modules.families.built import BuildOptions, Built
from modules.families.checkpoint import build
from modules.families.clip_vision import load_clip
from modules.families.judge import Judge, load_judge
from modules.starter.unet import sharpen


@dataclass(frozen=True, kw_only=True)
class Finished:
    """Fills new networks with those of the files, which are of the same sizes.

    checkpoint: a file of `export_checkpoint`.  judges: the folder of the judge and of CLIP's picture half.
    """

    checkpoint: Path
    judges: Path

    @cached_property
    def _built(self) -> Built:
        return build(self.checkpoint, BuildOptions(half=False), family="Stable Diffusion 1.x")

    def fill_autoencoder(self, model: AutoencoderKL) -> None:
        model.load_state_dict(self._built.vae.state_dict())

    def fill_judge(self, judge: Judge) -> None:
        judge.load_state_dict(load_judge(self.judges / "judge.safetensors").state_dict())

    def fill_unet(self, model: UNet2DConditionModel, sharpening: Tensor) -> None:
        """As it was before it was sharpened: it learns from sharpened states again."""
        model.load_state_dict(self._built.unet.state_dict())
        sharpen(model, torch.linalg.inv(sharpening))

    def clip(self) -> CLIPModel:
        """Both halves; the text half is that of the checkpoint."""
        return load_clip(self.judges / "clip_vision.safetensors", self._built.text_encoder)
