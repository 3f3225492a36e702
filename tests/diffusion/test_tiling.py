"""Tiling: on a torus, moving the input moves the output; without it the edges show."""

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn

from modules.diffusion.tiling import tiled


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(1)
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=2,
    ).eval()


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(1)
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
    return AutoencoderKL(block_out_channels=(8, 8), norm_num_groups=4, **blocks).eval()


@torch.no_grad()
def predicted(unet, x):
    text = torch.randn(1, 7, 32, generator=torch.Generator().manual_seed(1))
    return unet(x, torch.tensor([500]), text, return_dict=False)[0]


@torch.no_grad()
def decoded(vae, latents):
    return vae.decode(latents, return_dict=False)[0]


def drawn():
    return torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("step", [(2, 0), (0, 2), (6, 10)])
def test_the_unet_sees_a_torus(unet, step):
    x = drawn()
    with tiled([unet]):
        found, moved = predicted(unet, x), predicted(unet, x.roll(step, (2, 3)))
    assert torch.allclose(found.roll(step, (2, 3)), moved, atol=1e-4)
    plain = predicted(unet, x.roll(step, (2, 3)))
    assert not torch.allclose(predicted(unet, x).roll(step, (2, 3)), plain, atol=1e-2)


def test_the_decoder_makes_edges_that_fit(vae):
    z = drawn()
    with tiled([vae]):
        found, moved = decoded(vae, z), decoded(vae, z.roll((3, 5), (2, 3)))
    assert torch.allclose(found.roll((6, 10), (2, 3)), moved, atol=1e-4)


def failing(networks):
    with tiled(networks):
        raise ZeroDivisionError


def test_edges_come_back_also_after_an_error(unet, vae):
    mixed = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), nn.Conv2d(1, 1, 3, padding=1))
    plain = predicted(unet, drawn())
    with pytest.raises(ZeroDivisionError):
        failing([unet, vae, mixed])
    assert [one.padding_mode for one in mixed] == ["reflect", "zeros"]
    assert torch.equal(predicted(unet, drawn()), plain)


def test_blocks_within_blocks(unet):
    with tiled([unet]):
        inside = predicted(unet, drawn())
        with tiled([unet]):
            assert torch.equal(predicted(unet, drawn()), inside)
        assert torch.equal(predicted(unet, drawn()), inside)
