"""The starter model's autoencoder: pictures to latents of an eighth of the side and back. Rombach et al. 2022, §3.1."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Generator, Tensor
from torch.nn.functional import l1_loss, mse_loss

from modules.starter.loop import CPU, LossAt, Plan, mixed, train
from modules.starter.pictures import Bytes, cut

# The U-Net's latents are not perfect: of noise as loud as a tenth of them a decoder that never met any paints drops on
# plain sky. It meets up to this share of their deviation.
NOISE = 0.2


@dataclass(frozen=True, kw_only=True)
class AutoencoderShape:
    """Four levels make the factor of 8 of Stable Diffusion. batch: crops of one shard of a training step."""

    channels: tuple[int, ...] = (32, 64, 96, 128)
    groups: int = 8
    crop: int = 64
    batch: int = 8
    kl_weight: float = 2e-7

    @property
    def factor(self) -> int:
        """Pixels per latent along a side."""
        return 2 ** (len(self.channels) - 1)


def build_autoencoder(shape: AutoencoderShape, size: int) -> AutoencoderKL:
    """A new autoencoder whose latents carry almost no noise yet: with unit noise it learns nothing for long."""
    levels = len(shape.channels)
    model = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=shape.channels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=shape.groups,
        sample_size=size,
        mid_block_add_attention=False,
    )
    with torch.no_grad():
        model.quant_conv.weight[4:] = 0
        model.quant_conv.bias[4:] = -6
    return model


def to_tensor(pictures: Bytes | Tensor) -> Tensor:
    """(b, h, w, 3) of 0 to 255, to (b, 3, h, w) of -1 to 1."""
    pixels = pictures if isinstance(pictures, Tensor) else torch.from_numpy(np.array(pictures))
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_bytes(images: Tensor) -> Bytes:
    """(b, 3, h, w) of -1 to 1, to (b, h, w, 3) of 0 to 255."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def train_autoencoder(plan: Plan, shape: AutoencoderShape, model: AutoencoderKL, pictures: Bytes) -> None:
    model.to(memory_format=torch.channels_last)
    train(plan, model, autoencoder_loss(shape, model, torch.from_numpy(pictures).to(plan.device)))


def autoencoder_loss(shape: AutoencoderShape, model: AutoencoderKL, pictures: Tensor) -> LossAt:
    def loss_at(step: int, generator: Generator) -> Tensor:
        crops = random_crops(pictures, shape, generator).contiguous(memory_format=torch.channels_last)
        with mixed(crops.device):
            moments = model.encode(crops).latent_dist
            noise = torch.randn(moments.mean.shape, generator=generator).to(crops.device)
            restored = model.decode((moments.mean + moments.std * noise).to(moments.mean.dtype)).sample
        return restoration_loss(restored.float(), crops) + shape.kl_weight * moments.kl().float().sum() / len(crops)

    return loss_at


def train_decoder(plan: Plan, shape: AutoencoderShape, model: AutoencoderKL, pictures: Bytes, latents: Tensor) -> None:
    """Go on with the decoder alone. The latents stay what they are, so the U-Net can train at the same time.

    latents: of the first pictures, unscaled, (n, 4, h, w).
    """
    model.requires_grad_(False)
    model.decoder.requires_grad_(True)
    model.post_quant_conv.requires_grad_(True)
    pixels = torch.from_numpy(pictures[: len(latents)]).to(plan.device)
    train(plan, model, _decoder_loss(shape, model, pixels, latents.to(plan.device)))


def _decoder_loss(shape: AutoencoderShape, model: AutoencoderKL, pictures: Tensor, latents: Tensor) -> LossAt:
    loudest = NOISE * float(latents.float().std())
    f, wide = shape.factor, shape.crop // shape.factor
    places = latents.shape[-1] - wide + 1
    codes_last = latents.permute(0, 2, 3, 1)

    def loss_at(step: int, generator: Generator) -> Tensor:
        drawn = torch.randint(0, 2**31, (shape.batch, 3), generator=generator).to(latents.device)
        n, y, x = drawn[:, 0] % len(latents), drawn[:, 1] % places, drawn[:, 2] % places
        codes = cut(codes_last, n, y, x, wide).permute(0, 3, 1, 2).float()
        levels = loudest * torch.rand(len(codes), 1, 1, 1, generator=generator)
        codes = codes + (levels * torch.randn(codes.shape, generator=generator)).to(codes.device)
        wanted = to_tensor(cut(pictures, n, f * y, f * x, shape.crop))
        with mixed(codes.device):
            restored = model.decode(codes.contiguous(memory_format=torch.channels_last)).sample
        return restoration_loss(restored.float(), wanted)

    return loss_at


def restoration_loss(restored: Tensor, wanted: Tensor) -> Tensor:
    """L1, a little of the L1 of the gradients (sharp edges), and the squared error (the figure we measure)."""
    edges = sum(l1_loss(restored.diff(dim=axis), wanted.diff(dim=axis)) for axis in (2, 3))
    return l1_loss(restored, wanted) + 0.3 * edges + 3 * mse_loss(restored, wanted)


def random_crops(pictures: Tensor, shape: AutoencoderShape, generator: Generator) -> Tensor:
    """(batch, 3, crop, crop) cut at random from random pictures (n, h, w, 3) of 0 to 255, half of them mirrored.

    Of every two cuts the busier one is kept: most of a drawn picture is sky, which is learned at once.
    """
    side = pictures.shape[1] - shape.crop + 1
    drawn = torch.randint(0, 2**31, (2 * shape.batch, 4), generator=generator).to(pictures.device)
    cuts = cut(pictures, drawn[:, 0] % len(pictures), drawn[:, 1] % side, drawn[:, 2] % side, shape.crop)
    cuts = torch.where((drawn[:, 3] % 2 == 1)[:, None, None, None], cuts.flip(2), cuts)
    first_is_busier = _busyness(cuts[::2]) >= _busyness(cuts[1::2])
    return to_tensor(torch.where(first_is_busier[:, None, None, None], cuts[::2], cuts[1::2]))


def _busyness(cuts: Tensor) -> Tensor:
    """Mean difference between neighbours, on every second pixel, (b,)."""
    coarse = cuts[:, ::2, ::2].float()
    across, down = (coarse.diff(dim=axis).abs().mean(dim=(1, 2, 3)) for axis in (1, 2))
    return across + down


def batches(pictures: Bytes, size: int, device: torch.device = CPU) -> Iterator[Tensor]:
    """All pictures in order, (b, 3, h, w)."""
    for first in range(0, len(pictures), size):
        pixels = torch.from_numpy(pictures[first : first + size]).to(device)
        yield to_tensor(pixels).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def encode_all(model: AutoencoderKL, pictures: Bytes, batch: int = 64, device: torch.device = CPU) -> Tensor:
    """Mean latents of all pictures, unscaled, (b, 4, h, w), on the CPU."""
    model.to(device)
    with mixed(device):
        found = [model.encode(images).latent_dist.mean.float().cpu() for images in batches(pictures, batch, device)]
    model.to(CPU)
    return torch.cat(found)


@torch.no_grad()
def restore(model: AutoencoderKL, pictures: Bytes, batch: int = 32, device: torch.device = CPU) -> Bytes:
    """Pictures through the autoencoder and back."""
    model.to(device)
    found = [to_bytes(model.decode(model.encode(x).latent_dist.mean).sample) for x in batches(pictures, batch, device)]
    model.to(CPU)
    return np.concatenate(found)


def psnr(restored: Bytes, wanted: Bytes) -> float:
    """Peak signal-to-noise ratio in dB over all pictures together."""
    error = np.mean((restored.astype(np.float64) - wanted.astype(np.float64)) ** 2)
    return 10 * math.log10(255**2 / error)
