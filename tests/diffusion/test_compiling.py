"""Compiled blocks give the same numbers and go away again. Tested with dynamo alone: the C++ of inductor takes minutes."""

import pytest
import torch
from diffusers import UNet2DConditionModel

from modules.diffusion.compiling import compiled


@pytest.fixture
def unet():
    torch.manual_seed(1)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16,),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        cross_attention_dim=32,
        attention_head_dim=2,
    ).eval()


@torch.no_grad()
def predicted(network):
    drawn = torch.Generator().manual_seed(5)
    x, text = torch.randn(1, 4, 8, 8, generator=drawn), torch.randn(1, 7, 32, generator=drawn)
    return network(x, torch.tensor([500]), text, return_dict=False)[0]


def blocks(network):
    return [block for one in network.modules() for block in getattr(one, "transformer_blocks", ())]


def test_the_numbers_are_the_same_and_the_blocks_come_back(unet):
    plain = predicted(unet)
    assert len(blocks(unet)) == 4
    with compiled(unet, backend="eager"):
        assert all("forward" in vars(block) for block in blocks(unet))
        assert torch.allclose(predicted(unet), plain, atol=1e-6)
    assert not any("forward" in vars(block) for block in blocks(unet))
    assert torch.equal(predicted(unet), plain)


def failing(network):
    with compiled(network, backend="eager"):
        raise ZeroDivisionError


def test_the_blocks_come_back_after_an_error_also_where_a_hook_stands(unet):
    hooked = blocks(unet)[0]
    hooked.forward = before = hooked.forward
    with pytest.raises(ZeroDivisionError):
        failing(unet)
    assert vars(hooked)["forward"] is before
    assert not any("forward" in vars(block) for block in blocks(unet)[1:])
