"""Latents to pictures and back. Never a black one: what is not a number is tried again in 32 bits, then it is an error."""

from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor

from modules.core.errors import NotFinite
from modules.engine.memory import give_back, is_out_of_memory
from modules.families import tiled
from modules.families.built import Built

RETRIED = "The autoencoder's numbers left their range; it was run again in 32 bits."
IN_TILES = "Memory was short; the autoencoder worked in tiles."


def decode(built: Built, latent: Tensor, notes: list[str]) -> Image.Image:
    """One picture from its latents (c, h, w). Raises NotFinite. Alone, so that it does not depend on its batch."""
    pixels = _decoded(built, latent, notes)
    if not torch.isfinite(pixels).all():
        pixels = _in_32_bits(built, latent, notes)
        notes.append(RETRIED)
    return Image.fromarray(bytes_of(pixels)[0].contiguous().numpy())


def encode(built: Built, pixels: Tensor, notes: list[str]) -> Tensor:
    """Pixels (1, 3, H, W), -1 to 1, to latents (1, c, h, w), float32, on the model's device."""
    return _roomy(lambda: built.encode_picture(pixels), lambda: tiled.encode(built, pixels), built, notes).float()


def bytes_of(pixels: Tensor) -> Tensor:
    """Pixels (b, 3, H, W), -1 to 1, as (b, H, W, 3) of bytes."""
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)


def pixels_of(picture: Image.Image) -> Tensor:
    """A picture as (1, 3, H, W), float32, -1 to 1."""
    flat = torch.frombuffer(bytearray(picture.convert("RGB").tobytes()), dtype=torch.uint8)
    return flat.reshape(1, picture.height, picture.width, 3).permute(0, 3, 1, 2).float() / 127.5 - 1


def _decoded(built: Built, latent: Tensor, notes: list[str]) -> Tensor:
    one = latent.unsqueeze(0)
    return _roomy(lambda: built.decode(one), lambda: tiled.decode(built, one), built, notes)


def _roomy(whole: Callable[[], Tensor], in_tiles: Callable[[], Tensor], built: Built, notes: list[str]) -> Tensor:
    """In one go, or in tiles when there is no memory for that."""
    try:
        return whole()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    give_back(built.device)
    found = in_tiles()
    notes.append(IN_TILES)
    return found


def _in_32_bits(built: Built, latent: Tensor, notes: list[str]) -> Tensor:
    number = next(built.vae.parameters()).dtype
    built.vae.to(torch.float32)
    try:
        pixels = _decoded(built, latent, notes)
    finally:
        built.vae.to(number)  # exact: every number came from this type
    if not torch.isfinite(pixels).all():
        raise NotFinite(
            "The autoencoder answered with numbers that are not finite, also in 32 bits; the checkpoint is damaged or not meant for this."
        )
    return pixels
