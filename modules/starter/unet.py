"""The starter model's U-Net: noise prediction on latents. Ho et al. 2020, arXiv:2006.11239; Rombach et al. 2022.

Loss weights are those of min-SNR: Hang et al. 2023, arXiv:2303.09556, with gamma 5.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Generator, Tensor
from transformers import CLIPTextModel

from modules.starter.clip import Pairs, numbers_of, tokens_of
from modules.starter.loop import Average, LossAt, Plan, train

STEPS = 1000
BETAS = (0.00085, 0.012)


@dataclass(frozen=True, kw_only=True)
class UnetShape:
    """attention: whether each level has any, from the finest on.  heads: how many, level by level, which is what
    diffusers' misnamed `attention_head_dim` means.

    batch: samples of one shard of a training step.
    """

    channels: tuple[int, ...] = (96, 160, 192)
    layers: int = 1
    attention: tuple[bool, ...] = (False, True, False)
    heads: tuple[int, ...] = (3, 5, 6)
    groups: int = 16
    batch: int = 8
    caption_dropout: float = 0.1
    gamma: float = 5.0


@dataclass(frozen=True, kw_only=True)
class Examples:
    """What the U-Net learns from. latents: of the first pictures of the pairs, (n, 4, h, w), scaled to unit variance."""

    pairs: Pairs
    latents: Tensor
    text_encoder: CLIPTextModel


def build_unet(shape: UnetShape, text_width: int, side: int) -> UNet2DConditionModel:
    """text_width: of the text encoder's states; side: of the latents."""
    kinds = ["CrossAttn" if attends else "" for attends in shape.attention]
    return UNet2DConditionModel(
        sample_size=side,
        in_channels=4,
        out_channels=4,
        down_block_types=tuple(f"{kind}DownBlock2D" for kind in kinds),
        up_block_types=tuple(f"{kind}UpBlock2D" for kind in reversed(kinds)),
        block_out_channels=shape.channels,
        layers_per_block=shape.layers,
        attention_head_dim=shape.heads,
        norm_num_groups=shape.groups,
        cross_attention_dim=text_width,
    )


def alphas_cumprod() -> Tensor:
    """Share of signal at each of the 1000 steps, for the scaled-linear betas of Stable Diffusion."""
    betas = torch.linspace(BETAS[0] ** 0.5, BETAS[1] ** 0.5, STEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0).float()


def train_unet(
    plan: Plan,
    shape: UnetShape,
    model: UNet2DConditionModel,
    examples: Examples,
    on_save: Callable[[Average, int], None] | None = None,
) -> None:
    model.to(memory_format=torch.channels_last)
    model.set_attn_processor(AttnProcessor())  # on CPUs a fifth faster in training than torch's fused attention
    train(plan, model, unet_loss(shape, model, examples), on_save)


def unet_loss(shape: UnetShape, model: UNet2DConditionModel, examples: Examples) -> LossAt:
    signal = alphas_cumprod()
    weights = (shape.gamma * (1 - signal) / signal).clamp(max=1)  # min(SNR, gamma) / SNR, for noise prediction

    def loss_at(step: int, generator: Generator) -> Tensor:
        clean, text = _batch(shape, examples, step, generator)
        t = torch.randint(0, STEPS, (len(clean),), generator=generator)
        noise = torch.randn(clean.shape, generator=generator)
        share = signal[t].view(-1, 1, 1, 1)
        noisy = (share.sqrt() * clean + (1 - share).sqrt() * noise).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            guess = model(noisy, t, encoder_hidden_states=text, return_dict=False)[0]
        error = (guess.float() - noise).square().mean(dim=(1, 2, 3))
        return (weights[t] * error).mean()

    return loss_at


def _batch(shape: UnetShape, examples: Examples, step: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Latents (b, 4, h, w) and text embeddings (b, 77, d), some of the empty caption."""
    numbers = numbers_of(generator, len(examples.latents), shape.batch)
    drops = (torch.rand(shape.batch, generator=generator) < shape.caption_dropout).tolist()
    captions = ["" if drop else examples.pairs.caption(n, step) for drop, n in zip(drops, numbers, strict=True)]
    return examples.latents[numbers], embed(examples, captions)


@torch.no_grad()
def embed(examples: Examples, captions: list[str]) -> Tensor:
    """The text encoder's last hidden states, (b, 77, d)."""
    ids = tokens_of(examples.pairs.tokenizer, captions)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        return examples.text_encoder(input_ids=ids).last_hidden_state
