"""The starter model's U-Net: noise prediction on latents. Ho et al. 2020, arXiv:2006.11239; Rombach et al. 2022.

Loss weights are those of min-SNR: Hang et al. 2023, arXiv:2303.09556, with gamma 2.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Generator, Tensor, nn
from torch.nn.functional import avg_pool2d
from transformers import CLIPTextModel

from modules.starter.clip import CONTEXT, END, START, chosen
from modules.starter.loop import CPU, Average, LossAt, Plan, mixed, train
from modules.starter.pictures import Gallery
from modules.starter.rivals import Colours
from modules.starter.spec import often

STEPS = 1000
BETAS = (0.00085, 0.012)
NOISY = 750  # from this step on little is learned: the noise hides all but the place
SMALLEST = 0.003  # share of the mean second moment below which a direction of the text states is noise


@dataclass(frozen=True, kw_only=True)
class UnetShape:
    """attention: whether each level has any, from the finest on.  heads: how many, level by level, which is what
    diffusers' misnamed `attention_head_dim` means.

    batch: samples of one shard of a training step; halved_batch: the same on latents of half the side.
    worn: what an error counts where something is worn that the caption names, against elsewhere: it is small.
    """

    channels: tuple[int, ...] = (96, 192, 224)
    layers: int = 1
    attention: tuple[bool, ...] = (False, True, False)
    heads: tuple[int, ...] = (3, 6, 7)
    groups: int = 16
    batch: int = 32
    halved_batch: int = 128
    caption_dropout: float = 0.1
    worn: float = 4.0
    gamma: float = 2.0

    @property
    def for_halves(self) -> "UnetShape":
        return replace(self, batch=self.halved_batch)


@dataclass(frozen=True, kw_only=True)
class Examples:
    """What the U-Net learns from. latents: of the gallery's first pictures, (n, 4, h, w), scaled to unit variance.

    worn: how much of each latent shows what is worn, 0 to 255, (n, h, w).  texts: token ids of their captions,
    (n, variants, 77).  wearing: ids of the words that say that something is worn.  colours: see `starter/rivals.py`.
    sharpening: see `sharpening_of`, (d, d).
    """

    gallery: Gallery
    latents: Tensor
    worn: Tensor
    texts: Tensor
    wearing: Tensor
    colours: Colours
    sharpening: Tensor

    def on(self, device: torch.device) -> "Examples":
        """The same on this device."""
        if device == CPU:
            return self
        names = ("latents", "worn", "texts", "wearing", "colours", "sharpening")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    @cached_property
    def weights(self) -> Tensor:
        """How often each picture is shown, relatively, (n,): small or rare things are learned last, so more often."""
        return torch.tensor([often(self.gallery.spec(n)) for n in range(len(self.latents))])


class Painter(nn.Module):
    """The U-Net and the text encoder that it reads. They learn together, all but the words' own vectors.

    CLIP's text tower alone says what its picture half can tell apart: to it glasses are nearly a crown.
    """

    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.unet, self.text_encoder = unet, text_encoder
        for name, weight in text_encoder.named_parameters():
            weight.requires_grad_("embedding" not in name)

    def train_on(self, device: torch.device) -> None:
        """Choose the attention that is quickest in training there: on a CPU plain ones are, by a fifth in the U-Net."""
        if device == CPU:
            self.unet.set_attn_processor(AttnProcessor())
            self.text_encoder.set_attn_implementation("eager")

    def read(self, ids: Tensor, sharpening: Tensor) -> Tensor:
        """Sharpened text states, (b, t, d), of token ids, (b, t)."""
        with mixed(ids.device):
            states = self.text_encoder(input_ids=ids).last_hidden_state
        return states.float() @ sharpening

    def predict(self, noisy: Tensor, t: Tensor, states: Tensor) -> Tensor:
        """The noise in latents, (b, 4, h, w), at these steps, (b,)."""
        with mixed(noisy.device):
            return self.unet(noisy, t, encoder_hidden_states=states, return_dict=False)[0].float()


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


def halved(examples: Examples) -> Examples:
    """Four latents averaged into one, of unit variance again, (n, 4, h / 2, w / 2).

    What is where, and of what colour, is learned on these first, at nearly three times the samples a second.
    """
    means = avg_pool2d(examples.latents, 2)
    worn = avg_pool2d(examples.worn.float()[:, None], 2)[:, 0].to(examples.worn.dtype)
    return replace(examples, latents=means / means.std(), worn=worn)


@torch.no_grad()
def sharpening_of(text_encoder: CLIPTextModel, ids: Tensor, length: float = 2.0) -> Tensor:
    """A symmetric matrix that brings out what the text encoder's states hardly show, (d, d).

    A dozen directions hold nearly all of their length, and what tells a dog from a cat lies in others: a network sees
    it late. The inverse square root of the states' second moments makes all directions equally long, down to those that
    are noise; `length` times as long the states drive the U-Net sooner. docs/starter.md says what it brings.
    ids: of captions, (n, 77).
    """
    states = text_encoder(input_ids=ids).last_hidden_state.float().flatten(0, 1)
    values, vectors = torch.linalg.eigh(states.T @ states / len(states))
    matrix = (vectors * (values + SMALLEST * values.mean()) ** -0.5) @ vectors.T
    return matrix * (length * states.norm(dim=1).mean() / (states @ matrix).norm(dim=1).mean())


@torch.no_grad()
def sharpen(model: UNet2DConditionModel, sharpening: Tensor) -> None:
    """Let a U-Net that has learned from sharpened states take the text encoder's own, by what it does to them first."""
    for name, layer in model.named_modules():
        if name.endswith(("attn2.to_k", "attn2.to_v")):
            layer.weight.copy_(layer.weight @ sharpening)


def alphas_cumprod() -> Tensor:
    """Share of signal at each of the 1000 steps, for the scaled-linear betas of Stable Diffusion."""
    betas = torch.linspace(BETAS[0] ** 0.5, BETAS[1] ** 0.5, STEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0).float()


def train_unet(
    plan: Plan,
    shape: UnetShape,
    model: Painter,
    examples: Examples,
    on_save: Callable[[Average, int], None] | None = None,
) -> None:
    """plan: its `gentle` may name the text encoder's weights."""
    model.unet.to(memory_format=torch.channels_last)
    model.train_on(plan.device)
    train(plan, model, unet_loss(shape, model, examples.on(plan.device)), on_save)


def unet_loss(shape: UnetShape, model: Painter, examples: Examples) -> LossAt:
    device = examples.latents.device
    signal = alphas_cumprod().to(device)
    weights = (shape.gamma * (1 - signal) / signal).clamp(max=1)  # min(SNR, gamma) / SNR, for noise prediction

    def loss_at(step: int, generator: Generator) -> Tensor:
        numbers = torch.multinomial(examples.weights, shape.batch, replacement=True, generator=generator).to(device)
        clean = examples.latents[numbers].float()
        ids = without_some(chosen(examples.texts, numbers, generator), shape.caption_dropout, generator)
        t = spread(len(clean), generator).to(device)
        noisy, noise = noised(clean, signal[t], generator)
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        guess = model.predict(noisy, t, model.read(ids, examples.sharpening))
        named = torch.isin(ids, examples.wearing).any(dim=1)  # elsewhere it would draw hats that nobody asked for
        counts = 1 + (shape.worn - 1) / 255 * named[:, None, None] * examples.worn[numbers]
        error = ((guess - noise).square().mean(dim=1) * counts).mean(dim=(1, 2))
        return (weights[t] * error).mean()

    return loss_at


def spread(count: int, generator: Generator) -> Tensor:
    """Steps of the noise for a batch, four of five below `NOISY`: what words decide is decided there, see docs/starter.md.

    >>> spread(10, Generator().manual_seed(1)).tolist()
    [71, 119, 225, 350, 377, 543, 599, 726, 821, 929]
    """
    shares = stratified(count, generator)
    below, above = shares / 0.8 * NOISY, NOISY + (shares - 0.8) / 0.2 * (STEPS - NOISY)
    return torch.where(shares < 0.8, below, above).long().clamp(max=STEPS - 1)


def stratified(count: int, generator: Generator) -> Tensor:
    """A random number from each of `count` equal parts of 0 to 1, (count,): every batch sees the whole range."""
    return (torch.arange(count) + torch.rand(count, generator=generator)) / count


def noised(clean: Tensor, signal: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Latents under noise, and that noise.  clean: (b, 4, h, w); signal: the share of it that is left, (b,)."""
    noise = torch.randn(clean.shape, generator=generator).to(clean.device)
    share = signal.view(-1, 1, 1, 1)
    return share.sqrt() * clean + (1 - share).sqrt() * noise, noise


def without_some(ids: Tensor, share: float, generator: Generator) -> Tensor:
    """Captions, (b, 77), of which some are empty: the network must know how to draw without one."""
    dropped = torch.rand(len(ids), 1, generator=generator).to(ids.device) < share
    return torch.where(dropped, torch.tensor([START, *[END] * (CONTEXT - 1)], device=ids.device), ids)
