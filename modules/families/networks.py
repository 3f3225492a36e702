"""Empty networks of diffusers and transformers, filled by assignment: nothing is initialised that is overwritten anyway."""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from torch import Tensor, nn
from transformers.models.clip.configuration_clip import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection

from modules.families.original_layout import TEXT_ENCODERS, UNET, VAE

diffusers_logging.set_verbosity_error()  # its advice is for callers of pipelines, not for users of ours


def empty_networks(
    config: Mapping[str, Mapping[str, Any]], projected: Collection[str] = ("text_encoder_2",)
) -> dict[str, nn.Module]:
    """The networks by part, without memory (torch's meta device). `projected`: text encoders with a projection.

    Raises ValueError, TypeError or the like for a configuration that no network has.
    """
    with torch.device("meta"):
        return {part: _empty(part, config[part], projected) for part in (UNET, VAE, *TEXT_ENCODERS) if part in config}


def _empty(part: str, table: Mapping[str, Any], projected: Collection[str]) -> nn.Module:
    if part in (UNET, VAE):
        kind: Any = UNet2DConditionModel if part == UNET else AutoencoderKL
        return kind.from_config(dict(table))
    tower: dict[str, Any] = dict(table) | {"attn_implementation": "sdpa"}
    text: Any = CLIPTextModelWithProjection if part in projected else CLIPTextModel
    return text(CLIPTextConfig(**tower))


def filled(network: nn.Module, parameters: Mapping[str, Tensor]) -> nn.Module:
    """`network` with these tensors as its parameters, ready to run. Raises RuntimeError when names or shapes differ."""
    network.load_state_dict(dict(parameters), strict=True, assign=True)
    _restore_tables(network)
    return network.requires_grad_(False).eval()


def _restore_tables(network: nn.Module) -> None:
    """Buffers that no file holds are still without memory; CLIP's position numbers are the only ones."""
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if not buffer.is_meta:
                continue
            if name != "position_ids":
                raise RuntimeError(f"the table {name!r} is in no file and nobody knows how to make it")
            device = next(network.parameters()).device
            setattr(module, name, torch.arange(buffer.shape[-1], device=device).expand(1, -1))
