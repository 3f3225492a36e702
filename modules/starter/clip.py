"""A small CLIP for the starter world: pictures and captions in one space. Radford et al. 2021, arXiv:2103.00020.

Its text tower is the text encoder of the starter checkpoint, as in Stable Diffusion 1.x; there it learns on with the
U-Net (`starter/unet.py`), and the picture half learns anew what it says then.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel, CLIPTokenizer, CLIPVisionConfig

from modules.families.clip_vision import MEAN_SHIFT, TOWER, image_features, shift_mean, text_features
from modules.starter.autoencoder import to_tensor
from modules.starter.loop import LossAt, Plan, mixed, train
from modules.starter.pictures import Bytes, Gallery
from modules.starter.tokenizer import ENTRIES

START, END, CONTEXT = 49406, 49407, 77


@dataclass(frozen=True, kw_only=True)
class ClipShape:
    width: int = 192
    layers: int = 4
    heads: int = 6
    patch: int = 32
    batch: int = 64


def build_clip(shape: ClipShape, size: int) -> CLIPModel:
    body = {
        "hidden_size": shape.width,
        "intermediate_size": 4 * shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "hidden_act": "quick_gelu",
        "projection_dim": shape.width,
    }
    special = {"bos_token_id": START, "eos_token_id": END, "pad_token_id": END}
    text = CLIPTextConfig(vocab_size=ENTRIES, max_position_embeddings=CONTEXT, **body, **special)
    vision = CLIPVisionConfig(image_size=size, patch_size=shape.patch, **body)
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=shape.width)
    return CLIPModel(config)


def tokens_of(tokenizer: CLIPTokenizer, captions: Sequence[str], length: int | None = CONTEXT) -> Tensor:
    """Token ids, (b, length), padded with the end token; without a length, as short as the longest caption allows."""
    padding = "longest" if length is None else "max_length"
    rows = tokenizer(list(captions), padding=padding, truncation=True, max_length=length or CONTEXT)
    return torch.tensor(rows.input_ids)


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Drawn pictures and what to say of them."""

    gallery: Gallery
    pictures: Bytes
    tokenizer: CLIPTokenizer


def text_encoder_of(model: CLIPModel) -> CLIPTextModel:
    """A copy of the text tower for the checkpoint, with its states moved away from zero mean."""
    encoder = CLIPTextModel(model.config.text_config)
    _copy_tower(model.text_model, encoder)
    shift_mean(encoder, MEAN_SHIFT)
    return encoder.requires_grad_(False).eval()


@torch.no_grad()
def with_text_encoder(model: CLIPModel, encoder: CLIPTextModel) -> None:
    """Put a checkpoint's text encoder in the place of CLIP's text tower: the other way than `text_encoder_of`."""
    _copy_tower(encoder, model.text_model)
    shift_mean(model.text_model, -MEAN_SHIFT)


def _copy_tower(source: nn.Module, target: nn.Module) -> None:
    """Copy the weights, whichever of the two has the tower's name before its own."""
    prefix = TOWER if next(iter(target.state_dict())).startswith(TOWER) else ""
    target.load_state_dict({prefix + name.removeprefix(TOWER): value for name, value in source.state_dict().items()})


def numbers_of(generator: Generator, count: int, batch: int) -> list[int]:
    return torch.randint(0, count, (batch,), generator=generator).tolist()


def chosen(texts: Tensor, numbers: Tensor, generator: Generator) -> Tensor:
    """One caption of each of these pictures.  texts: (n, variants, 77); numbers: (b,).  Returns ids, (b, 77)."""
    variants = torch.randint(0, texts.shape[1], (len(numbers),), generator=generator)
    return texts[numbers, variants.to(texts.device)].long()


def shortened(ids: Tensor) -> Tensor:
    """Without the padding that all of them have: CLIP reads up to the first end token."""
    return ids[:, : int((ids != END).sum(dim=1).max()) + 1]


def train_clip(plan: Plan, shape: ClipShape, model: CLIPModel, pictures: Bytes, texts: Tensor) -> None:
    """texts: token ids of the pictures' captions, (n, variants, 77)."""
    train(plan, model, _loss(shape, model, torch.from_numpy(pictures).to(plan.device), texts.to(plan.device)))


def _loss(shape: ClipShape, model: CLIPModel, pictures: Tensor, texts: Tensor) -> LossAt:
    def loss_at(step: int, generator: Generator) -> Tensor:
        numbers = torch.randint(0, len(pictures), (shape.batch,), generator=generator).to(pictures.device)
        ids = shortened(chosen(texts, numbers, generator))
        with mixed(pictures.device):
            seen, read = image_features(model, to_tensor(pictures[numbers])), text_features(model, ids)
        return contrastive_loss(seen, read, model.logit_scale.exp().clamp(max=100), _same(ids))

    return loss_at


def _same(ids: Tensor) -> Tensor:
    """(b, b): which captions of the batch say the same, so that neither counts as the wrong one."""
    return (ids[:, None] == ids[None, :]).all(dim=-1)


def contrastive_loss(seen: Tensor, read: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """Mean of both directions of the softmax loss; equal captions share the target."""
    targets = same.float() / same.sum(dim=1, keepdim=True)
    logits = scale * seen @ read.T
    return (cross_entropy(logits, targets) + cross_entropy(logits.T, targets)) / 2


@torch.no_grad()
def ranking(model: CLIPModel, pairs: Pairs, numbers: list[int], captions: list[str]) -> float:
    """How often each picture's own caption ranks first among those of all the pictures given."""
    ids = tokens_of(pairs.tokenizer, captions)
    seen = image_features(model, to_tensor(pairs.pictures[numbers]))
    best = (seen @ text_features(model, ids).T).argmax(dim=1)
    return float(_same(ids)[torch.arange(len(captions)), best].float().mean())
