"""LoRA files as others read them: kohya's names with `.alpha`, and those of diffusers and peft with their metadata.

kohya: `lora_unet_down_blocks_0_attentions_0_…_to_q.lora_down.weight`, `lora_te_text_model_encoder_layers_0_…`; for SDXL
the U-Net in the order of the original files (`lora_unet_input_blocks_4_1_…`), `lora_te1_` and `lora_te2_`.
diffusers: `unet.down_blocks.0.….lora_A.weight`, `text_encoder.text_model.….lora_A.weight`; α only in the metadata, and
without it a reader takes α = r. The level `text_model` is in both, whether or not the installed transformers has it.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from modules.training.held import LEVEL
from modules.training.layers import LowRank

UNET = "unet"
PEFT_METADATA = "lora_adapter_metadata"
IN_RESNET = {
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
# earlier releases of diffusers look for some of these without asking whether they are there
SETTINGS: Mapping[str, Any] = {
    "peft_type": "LORA",
    "bias": "none",
    "lora_dropout": 0.0,
    "init_lora_weights": True,
    "rank_pattern": {},
    "alpha_pattern": {},
    "use_dora": False,
    "use_rslora": False,
}
MIDDLE = {"resnets.0": "0", "attentions.0": "1", "resnets.1": "2"}


def kohya(added: Mapping[str, LowRank], config: Mapping[str, Any], number: torch.dtype) -> dict[str, Tensor]:
    """The tensors in kohya's names.  added: by part and path ("unet.mid_block…").  config: the U-Net's.

    α is kept in 32 bits: 0.1 is no half-precision number, and it scales everything.
    """
    found: dict[str, Tensor] = {}
    for name, one in added.items():
        layer = kohya_name(name, config)
        found[f"{layer}.lora_down.weight"] = stored(one.down, number)
        found[f"{layer}.lora_up.weight"] = stored(one.up, number)
        found[f"{layer}.alpha"] = torch.tensor(one.alpha)
    return found


def kohya_name(name: str, config: Mapping[str, Any]) -> str:
    """What kohya's tools call a layer.

    >>> kohya_name("text_encoder.encoder.layers.0.mlp.fc1", {})
    'lora_te_text_model_encoder_layers_0_mlp_fc1'
    """
    part, _, path = name.partition(".")
    large = is_large(config)
    if part == UNET:
        return f"lora_unet_{original_path(path, config) if large else path}".replace(".", "_")
    prefix = {"text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}[part] if large else "lora_te_"
    return prefix + f"{LEVEL}{path}".replace(".", "_")


def is_large(config: Mapping[str, Any]) -> bool:
    """Whether a U-Net is SDXL's: it is told sizes beside the text."""
    return config.get("addition_embed_type") == "text_time"


def peft(added: Mapping[str, LowRank], number: torch.dtype) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) in the names of diffusers and peft."""
    found: dict[str, Tensor] = {}
    for name, one in added.items():
        part, _, path = name.partition(".")
        long = f"{part}.{path}" if part == UNET else f"{part}.{LEVEL}{path}"
        found[f"{long}.lora_A.weight"] = stored(one.down, number)
        found[f"{long}.lora_B.weight"] = stored(one.up, number)
    return found, {PEFT_METADATA: json.dumps(_configurations(added), sort_keys=True), "format": "pt"}


def _configurations(added: Mapping[str, LowRank]) -> dict[str, Any]:
    """What peft's LoraConfig is made of, each network's with its name before the key."""
    table: dict[str, Any] = {}
    for part in dict.fromkeys(name.partition(".")[0] for name in added):
        paths = [name.partition(".")[2] for name in added if name.startswith(f"{part}.")]
        one = next(one for name, one in added.items() if name.startswith(f"{part}."))
        alpha = int(one.alpha) if one.alpha.is_integer() else one.alpha
        settings: dict[str, Any] = {"r": one.down.shape[0], "lora_alpha": alpha, "target_modules": sorted(paths)}
        settings |= SETTINGS
        table |= {f"{part}.{key}": value for key, value in settings.items()}
    return table


def stored(tensor: Tensor, number: torch.dtype) -> Tensor:
    """A copy to be written, in this type."""
    return tensor.detach().to("cpu", number, copy=True).contiguous()


# The U-Net's layers in the order of the original files (Rombach et al. 2022): blocks are numbered as they run -----------


def original_path(path: str, config: Mapping[str, Any]) -> str:
    """What the original files call a layer of the U-Net. Raises KeyError for one that they do not have."""
    for ours, original in OUTSIDE.items():
        if path == ours:
            return original
    side, _, rest = path.partition(".")
    if side == "mid_block":
        kind, number, inner = rest.split(".", 2)
        return f"middle_block.{MIDDLE[f'{kind}.{number}']}.{_inner(kind, inner)}"
    level, kind, number, inner = rest.split(".", 3)
    blocks = _blocks(side, config)
    if kind == "downsamplers":
        return f"input_blocks.{blocks[int(level) + 1] - 1}.0.op"
    if kind == "upsamplers":
        attends = "CrossAttn" in config["up_block_types"][int(level)]
        return f"output_blocks.{blocks[int(level) + 1] - 1}.{2 if attends else 1}.conv"
    block = blocks[int(level)] + int(number)
    name = "input_blocks" if side == "down_blocks" else "output_blocks"
    return f"{name}.{block}.{1 if kind == 'attentions' else 0}.{_inner(kind, inner)}"


def _inner(kind: str, inner: str) -> str:
    return IN_RESNET[inner] if kind == "resnets" else inner


def _blocks(side: str, config: Mapping[str, Any]) -> list[int]:
    """The number of each level's first block; going down, the first convolution is block 0."""
    return list(accumulate(_lengths(side, config), initial=1 if side == "down_blocks" else 0))


def _lengths(side: str, config: Mapping[str, Any]) -> Iterator[int]:
    """How many blocks each level has: its layers, and going down one for the way to the next level, going up one more."""
    levels = len(config["down_block_types"])
    layers = config["layers_per_block"]
    counts = [layers] * levels if isinstance(layers, int) else list(layers)
    yield from (count + 1 for count in (counts if side == "down_blocks" else counts[::-1]))
