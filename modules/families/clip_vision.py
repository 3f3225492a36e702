"""CLIP put together from its picture half and a checkpoint's text encoder: Radford et al. 2021, arXiv:2103.00020.

Such a file (`models/starter/clip_vision.safetensors`) holds the vision tower, both projections and the logit scale; its
metadata hold transformers' configuration of the whole.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import CLIPConfig, CLIPModel

from modules.core.errors import InvalidModelFile
from modules.core.tensorfile import read_header
from modules.families import single_file

CONFIG = "atelier.config"
TOWER = "text_model."
# The states of the starter's text encoder are moved by this after its training with the picture half: emphasis as in
# A1111 keeps the mean of a text's states, which the last layer norm leaves near zero; real CLIP's is not.
MEAN_SHIFT = 0.1
SAME = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")


def fits(path: Path, text_encoder: Any) -> bool:
    """Whether a picture half belongs to a text encoder of this build. Raises InvalidModelFile for another file."""
    theirs = _config(path)["text_config"]
    ours = getattr(text_encoder, "config", None)
    return ours is not None and all(theirs.get(name) == getattr(ours, name, None) for name in SAME)


def load_clip(path: Path, text_encoder: Any) -> CLIPModel:
    """CLIP from its file and the checkpoint's text encoder, in float32 on the CPU. Raises InvalidModelFile."""
    model = CLIPModel(CLIPConfig(**_config(path)))
    _, tensors = single_file.load(path)
    for name, tensor in text_encoder.state_dict().items():
        tensors[name if name.startswith(TOWER) else TOWER + name] = tensor
    found = model.load_state_dict({name: tensor.float().cpu() for name, tensor in tensors.items()}, strict=False)
    missing = [name for name in found.missing_keys if not name.endswith("position_ids")]
    if missing:
        raise InvalidModelFile(f"{path.name} is not whole: {missing[0]} is missing.")
    shift_mean(model.text_model, -MEAN_SHIFT)
    return model.eval().requires_grad_(False)


@torch.no_grad()
def shift_mean(encoder: nn.Module, by: float) -> None:
    """Move the states that a text encoder gives."""
    for name, parameter in encoder.named_parameters():
        if name.endswith("final_layer_norm.bias"):
            parameter.add_(by)


def image_features(model: CLIPModel, images: Tensor) -> Tensor:
    """Unit vectors, (b, d), of images (b, 3, h, w) of -1 to 1."""
    pooled = model.vision_model(pixel_values=images).pooler_output
    return normalize(model.visual_projection(pooled).float(), dim=-1)


def text_features(model: CLIPModel, ids: Tensor) -> Tensor:
    """Unit vectors, (b, d), of token ids (b, t)."""
    pooled = model.text_model(input_ids=ids).pooler_output
    return normalize(model.text_projection(pooled).float(), dim=-1)


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(read_header(path).metadata[CONFIG])
        if not isinstance(config["text_config"], dict):
            raise TypeError
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidModelFile(f"{path.name} is no picture half of CLIP: it does not say how it is built.") from error
    return config
