"""A model in memory: its networks and what is needed to draw with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

TOKENIZER = Path(__file__).parent / "assets" / "clip_tokenizer"


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How a model is to be built. `memory`: normal, medvram, lowvram. `attention`: sdpa, xformers."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    half: bool = True
    memory: str = "normal"
    attention: str = "sdpa"


@dataclass(frozen=True, kw_only=True)
class LatentColours:
    """Latents to colours without the autoencoder, for previews: rgb = latents · matrix + bias, both in -1 to 1.

    `matrix`: (c, 3) rows of red, green, blue, one for each latent channel. `bias`: (3,).
    """

    matrix: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Built:
    """Networks of diffusers and transformers in evaluation mode on `device`, in the file's configuration.

    `sigmas`: the noise level of each training step, ascending. `scaling_factor`: latents of the U-Net are those of the
    autoencoder times this. `dtype` is the U-Net's number type. `metadata` is the file's own. `colours` is None when
    the file does not say how its latents look.
    """

    family: str
    unet: Any
    vae: Any
    text_encoder: Any
    sigmas: tuple[float, ...]
    device: torch.device
    dtype: torch.dtype
    scaling_factor: float
    latent_channels: int = 4
    prediction: str = "epsilon"
    tokenizer_folder: Path = TOKENIZER
    colours: LatentColours | None = None
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def downscale(self) -> int:
        """Pixels per latent along a side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """(c, h, w) of the latents of a picture of this size in pixels."""
        return self.latent_channels, height // self.downscale, width // self.downscale

    def predict(self, x: Tensor, timestep: Tensor, conditioning: Tensor) -> Tensor:
        """The U-Net: noisy latents (b, c, h, w), timestep (b,), text (b, t, d) to its prediction (b, c, h, w), float32."""
        x = x.to(self.device, self.dtype).contiguous(memory_format=torch.channels_last)
        found = self.unet(x, timestep.to(self.device), conditioning.to(self.device, self.dtype), return_dict=False)
        return found[0].float()

    def hidden_states(self, tokens: Tensor) -> Sequence[Tensor]:
        """The text tower's states (b, 77, d) after the embedding and after each layer, for tokens (b, 77)."""
        return self.text_encoder(tokens.to(self.device), output_hidden_states=True).hidden_states

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (b, c, h, w) to pictures (b, 3, 8h, 8w), float32, about -1 to 1, on the CPU."""
        number = next(self.vae.parameters()).dtype
        scaled = (latents / self.scaling_factor).to(self.device, number)
        found = self.vae.decode(scaled.contiguous(memory_format=torch.channels_last), return_dict=False)
        return found[0].float().cpu()
