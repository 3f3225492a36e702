"""The finished parts as one file in the layout of Stable Diffusion 1.x, and CLIP's picture half beside it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.nn.functional import avg_pool2d
from transformers import CLIPModel, CLIPTextModel

from modules.diffusion.denoiser import sigma_table
from modules.families import colours, single_file
from modules.families.built import Built
from modules.families.configuration import METADATA_KEY
from modules.families.judge import half
from modules.families.original_layout import to_original
from modules.starter.autoencoder import batches
from modules.starter.pictures import Bytes

LARGEST_FILE = 60_000_000
KEPT = {
    "unet": (
        "sample_size in_channels out_channels down_block_types up_block_types block_out_channels layers_per_block "
        "attention_head_dim norm_num_groups cross_attention_dim"
    ),
    "vae": (
        "in_channels out_channels down_block_types up_block_types block_out_channels layers_per_block latent_channels "
        "norm_num_groups sample_size scaling_factor mid_block_add_attention"
    ),
    "text_encoder": (
        "vocab_size hidden_size intermediate_size projection_dim num_hidden_layers num_attention_heads "
        "max_position_embeddings hidden_act layer_norm_eps bos_token_id eos_token_id pad_token_id"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The three networks of the checkpoint; the autoencoder's configuration holds the scaling factor."""

    unet: UNet2DConditionModel
    autoencoder: AutoencoderKL
    text_encoder: CLIPTextModel

    def config(self) -> dict[str, dict[str, Any]]:
        """What rebuilds the networks: the fields that are not defaults, in the libraries' own words."""
        whole = {
            "unet": dict(self.unet.config),
            "vae": dict(self.autoencoder.config),
            "text_encoder": self.text_encoder.config.to_dict(),
        }
        return {part: {key: whole[part][key] for key in keys.split()} for part, keys in KEPT.items()}

    def built(self) -> Built:
        """The same networks as the engine sees them, in float32 on the CPU."""
        return Built(
            family="Stable Diffusion 1.x",
            unet=self.unet,
            vae=self.autoencoder,
            text_encoder=self.text_encoder,
            sigmas=sigma_table(),
            device=torch.device("cpu"),
            dtype=torch.float32,
            scaling_factor=self.autoencoder.config["scaling_factor"],
            config=self.config(),
        )


def export_checkpoint(parts: Parts, path: Path, about: Mapping[str, str], pictures: Bytes) -> None:
    """Write the checkpoint in float16, atomically.  about: metadata.  pictures: some to fit the preview colours to."""
    states = {
        "unet": parts.unet.state_dict(),
        "vae": parts.autoencoder.state_dict(),
        "text_encoder": parts.text_encoder.state_dict(),
    }
    config = parts.config()
    tensors = {name: tensor.half().contiguous() for name, tensor in to_original(states, config).items()}
    preview = preview_colours(parts.autoencoder, pictures)
    metadata = {METADATA_KEY: json.dumps(config), colours.METADATA_KEY: json.dumps(preview), **about}
    size = sum(2 * tensor.numel() for tensor in tensors.values())
    if size > LARGEST_FILE:
        raise ValueError(f"the checkpoint would have {size:,} bytes; the repository takes {LARGEST_FILE:,}")
    single_file.save(path, tensors, metadata)


@torch.no_grad()
def preview_colours(autoencoder: AutoencoderKL, pictures: Bytes) -> list[list[float]]:
    """Rows of red, green, blue for each scaled latent channel, then the bias: least squares on drawn pictures."""
    images = torch.cat(list(batches(pictures, 32)))
    latents = torch.cat([autoencoder.encode(part).latent_dist.mean for part in images.split(32)])
    found = colours.fit(
        latents * autoencoder.config["scaling_factor"], avg_pool2d(images, images.shape[-1] // latents.shape[-1])
    )
    return [[round(value, 4) for value in row] for row in (*found.matrix, found.bias)]


def about_checkpoint(size: int, figures: Mapping[str, str]) -> dict[str, str]:
    """The file's own description (modelspec 1.0.0), and figures of the build."""
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-v1",
        "modelspec.implementation": "https://github.com/CompVis/stable-diffusion",
        "modelspec.title": "Atelier starter",
        "modelspec.author": "Atelier",
        "modelspec.description": "A small cartoon model, trained from nothing on pictures that Atelier draws itself.",
        "modelspec.license": "Apache-2.0",
        "modelspec.date": datetime.now(UTC).date().isoformat(),
        "modelspec.resolution": f"{size}x{size}",
        "modelspec.prediction_type": "epsilon",
        **{f"atelier.{name}": text for name, text in figures.items()},
    }


def export_clip(model: CLIPModel, path: Path) -> None:
    """CLIP without the text tower, which lies in the checkpoint: vision tower, both projections, logit scale."""
    tensors = {name: tensor for name, tensor in half(model).items() if not name.startswith("text_model.")}
    single_file.save(path, tensors, {"atelier.config": json.dumps(model.config.to_dict(), default=str)})
