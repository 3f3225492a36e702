"""CLIP from a folder in the form of transformers (`config.json`, `model.safetensors`, the tokenizer's files), both towers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import interpolate, normalize
from transformers import AutoTokenizer, CLIPModel

from modules.core.errors import InvalidModelFile

FAULTS = (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError)
MEAN, SPREAD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of CLIP's own pictures
AT_ONCE = 32  # pictures
LONGEST = 77  # tokens


@dataclass(frozen=True, kw_only=True)
class Towers:
    """`image`: (n, 3, h, w) of -1 to 1, `text`: n captions, both to unit vectors (n, d). `sharpness`: the logit scale."""

    name: str
    image: Callable[[Tensor], Tensor]
    text: Callable[[Sequence[str]], Tensor]
    sharpness: float


def is_clip(folder: Path) -> bool:
    """Whether there is one; it may still turn out broken."""
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def load_clip_folder(folder: Path) -> Towers:
    """Nothing is fetched and no code of the folder is run. Raises InvalidModelFile."""
    try:
        model = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except FAULTS as error:
        raise InvalidModelFile(f"The CLIP in {folder.name} cannot be loaded: {str(error)[:300]}") from error
    model = model.float().eval().requires_grad_(False)
    vision: Any = model.config.vision_config
    side = int(vision.image_size)

    def image(images: Tensor) -> Tensor:
        parts = [
            model.visual_projection(model.vision_model(pixel_values=prepared(part, side)).pooler_output)
            for part in images.split(AT_ONCE)
        ]
        return normalize(torch.cat(parts).float(), dim=-1)

    def text(captions: Sequence[str]) -> Tensor:
        ids = tokenizer(list(captions), padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
        pooled = model.text_model(input_ids=ids["input_ids"], attention_mask=ids["attention_mask"]).pooler_output
        return normalize(model.text_projection(pooled).float(), dim=-1)

    name = f"CLIP in models/{folder.name} ({side} px)"
    return Towers(name=name, image=image, text=text, sharpness=float(model.logit_scale.exp()))


def prepared(images: Tensor, side: int) -> Tensor:
    """As CLIP wants pictures, (n, 3, side, side): the short side resized, the middle cut out, its own mean and spread."""
    height, width = images.shape[-2:]
    scale = side / min(height, width)
    size = max(side, round(height * scale)), max(side, round(width * scale))
    large = interpolate(images.float(), size, mode="bicubic", antialias=True).clamp(-1, 1)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    cut = large[..., top : top + side, left : left + side]
    mean, spread = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(SPREAD).view(3, 1, 1)
    return ((cut + 1) / 2 - mean) / spread
