"""Latents to a picture. Never a black one: what is not a number is tried again in 32 bits, then it is an error."""

import torch
from PIL import Image
from torch import Tensor

from modules.core.errors import NotFinite
from modules.families.built import Built

RETRIED = "The autoencoder's numbers left their range; it was run again in 32 bits."


def decode(built: Built, latent: Tensor, notes: list[str]) -> Image.Image:
    """One picture from its latents (c, h, w). Raises NotFinite. Alone, so that it does not depend on its batch."""
    pixels = built.decode(latent.unsqueeze(0))
    if not torch.isfinite(pixels).all():
        pixels = _in_32_bits(built, latent)
        notes.append(RETRIED)
    bytes_ = ((pixels[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(bytes_.permute(1, 2, 0).contiguous().numpy())


def _in_32_bits(built: Built, latent: Tensor) -> Tensor:
    number = next(built.vae.parameters()).dtype
    built.vae.to(torch.float32)
    try:
        pixels = built.decode(latent.unsqueeze(0))
    finally:
        built.vae.to(number)  # exact: every number came from this type
    if not torch.isfinite(pixels).all():
        raise NotFinite(
            "The autoencoder answered with numbers that are not finite, also in 32 bits; the checkpoint is damaged or not meant for this."
        )
    return pixels
