"""A model whose U-Net is a single number, and its data: for what the loop does around the networks."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modules.diffusion.denoiser import sigma_table
from modules.training.batch import Batch
from modules.training.learner import Learner, ParameterGroup


class OneNumber(nn.Module):
    """answer = x · weight; `factor` lets a test make it infinite."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))
        self.factor = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight * self.factor


class OneWeight:
    """Model, data and learner in one."""

    def __init__(self) -> None:
        self.unet: Any = OneNumber()
        self.vae = self.text_encoder = self.text_encoder_2 = None
        self.sigmas, self.prediction = sigma_table(), "epsilon"
        self.device, self.dtype, self.scaling_factor, self.latent_channels = torch.device("cpu"), torch.float32, 1.0, 4
        self.networks: dict[str, Any] = {"unet": self.unet}
        self.encode: Any = None
        self.text_of: Any = None
        self.encoder_widths, self.downscale, self.tokenizer_folder = {"clip_l": 8}, 8, Path()
        group = ParameterGroup(name="unet", parameters=[self.unet.weight], learning_rate=1e-3)
        self.learner = Learner(groups=(group,), named={"weight": self.unet.weight}, export=lambda format, number: [])

    def predict(self, x: Tensor, timestep: Tensor, text: Tensor, vector: Any = None, concat: Any = None) -> Tensor:
        return self.unet(x)

    def batch(self, step: int, micro: int = 0, rank: int = 0, ranks: int = 1) -> Batch:
        return Batch(latents=torch.ones(1, 4, 4, 4), text=torch.zeros(1, 77, 8))

    def epoch(self, step: int) -> float:
        return float(step)
