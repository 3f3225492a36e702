"""Latents to pictures: an autoencoder that leaves the range of its number type is run again in 32 bits."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from modules.core.errors import NotFinite
from modules.engine.decode import RETRIED, decode
from modules.families.built import BuildOptions, Built
from modules.families.kinds import sd15


@pytest.fixture(scope="module")
def built(small_file: Path) -> Built:
    return sd15.build(small_file, BuildOptions(half=False))


def overflowing(built: Built) -> None:
    """A first layer whose output only 32 bits can hold; the norm after it brings it back."""
    built.vae.decoder.conv_in.weight.data.mul_(1e6)


@torch.inference_mode()
def test_a_picture_has_the_autoencoder_s_colours(built: Built) -> None:
    latent, notes = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(0)), []
    image = decode(built, latent, notes)
    expected = ((built.decode(latent[None])[0].permute(1, 2, 0).clamp(-1, 1) + 1) * 127.5).round()
    assert (image.size, image.mode, notes) == ((64, 64), "RGB", [])
    assert np.abs(np.asarray(image) - expected.numpy()).max() == 0


@torch.inference_mode()
def test_numbers_out_of_range_are_tried_again_in_32_bits(small_file: Path) -> None:
    small = sd15.build(small_file, BuildOptions(half=False))
    latent, notes = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(0)), []
    overflowing(small)
    expected = np.asarray(decode(small, latent, notes)).astype(int)
    assert notes == []
    small.vae.half()
    small.vae.decoder.conv_in.weight.data.fill_(60_000.0)
    before = {name: one.clone() for name, one in small.vae.state_dict().items()}
    image = decode(small, latent * 1000, notes)
    assert notes == [RETRIED]
    assert np.asarray(image).std() > 0
    assert expected.std() > 0
    after = small.vae.state_dict()
    assert all(torch.equal(after[name], one) and after[name].dtype == one.dtype for name, one in before.items())


@torch.inference_mode()
def test_what_is_no_number_in_32_bits_either_is_an_error(small_file: Path) -> None:
    small = sd15.build(small_file, BuildOptions(half=False))
    small.vae.decoder.conv_out.bias.data.fill_(torch.nan)
    with pytest.raises(NotFinite, match="not finite, also in 32 bits"):
        decode(small, torch.zeros(4, 8, 8), [])


@torch.inference_mode()
def test_latents_are_scaled_as_the_file_says(built: Built) -> None:
    latent = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(0))
    other = dataclasses.replace(built, scaling_factor=built.scaling_factor * 2)
    first, second = decode(built, latent, []), decode(other, latent * 2, [])
    assert np.array_equal(np.asarray(first), np.asarray(second))
