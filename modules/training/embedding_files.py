"""Embeddings as others read them: safetensors (kohya, ComfyUI, A1111) and A1111's `.pt`.

One text encoder: `emb_params` (v, d), or in a `.pt` `string_to_param["*"]`. SDXL: `clip_l` and `clip_g`, one for each.
"""

import io
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

PLACEHOLDER = "*"
PLACEHOLDER_TOKEN = 265  # of "*" in CLIP's vocabulary; readers expect it and none uses it
ALONE = "emb_params"


def named(tables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file.  tables: (v, d) by text encoder ("clip_l", "clip_g", "clip_h").

    Always in 32 bits: a few kilobytes are not worth rounding.
    """
    copies = {name: one.detach().to("cpu", torch.float32, copy=True) for name, one in tables.items()}
    return copies if len(copies) > 1 else {ALONE: next(iter(copies.values()))}


def pickled(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a `.pt` that torch's weights_only reader takes.  tensors: as `named` gives them.

    A1111's form has room for one text encoder; SDXL's two are written under their names.
    """
    content: dict[str, Any] = dict(tensors)
    if ALONE in tensors:
        steps = metadata.get("ss_steps", "")
        content = {
            "string_to_token": {PLACEHOLDER: PLACEHOLDER_TOKEN},
            "string_to_param": {PLACEHOLDER: tensors[ALONE]},
            "name": metadata.get("ss_output_name", ""),
            "step": int(steps) if steps.isdecimal() else 0,
            "sd_checkpoint": metadata.get("ss_sd_model_hash", ""),
            "sd_checkpoint_name": metadata.get("ss_sd_model_name", ""),
            "metadata": dict(metadata),
        }
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()
