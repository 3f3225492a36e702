"""Compiled blocks give the same numbers and go away again. Tested with dynamo alone: the C++ of inductor takes minutes."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn

from modules.core.extension_points import Use
from modules.diffusion.adapters import hypernetwork
from modules.diffusion.adapters.lora import Layer, Lora, applied
from modules.diffusion.compiling import compiled
from modules.diffusion.merging import token_merging


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


def test_what_was_compiled_is_kept_for_the_next_time(unet):
    graphs = []

    def counting(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    with compiled(unet, backend=counting):
        predicted(unet)
    once = len(graphs)
    assert once
    with compiled(unet, backend=counting):
        predicted(unet)
    assert len(graphs) == once


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


@pytest.fixture
def doubled():
    """Uses of a hypernetwork that adds to keys and values what they are made of."""
    whole = nn.Sequential(nn.Linear(32, 32, bias=False))
    nn.init.eye_(whole[0].weight)
    return [Use(loaded=hypernetwork.Hypernetwork(name="x", networks={32: (whole, whole)}))]


def test_compiled_blocks_see_what_is_changed_later(unet, doubled):
    """What was compiled with the model's own weights and layers must not go on using them."""
    name = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_v"
    target = unet.get_submodule(name.removeprefix("unet."))
    whole = Layer(name=name, parts={"diff": torch.randn(target.weight.shape)}, factor=1.0)
    uses = [Use(loaded=Lora(name="x", layers=(whole,)))]
    plain = predicted(unet)
    with applied({name: target}, uses):
        changed = predicted(unet)
    with token_merging(unet, 0.5):
        merged = predicted(unet)
    layers = {f"unet.{name}": module for name, module in unet.named_modules()}
    with hypernetwork.applied(layers, doubled):
        hyper = predicted(unet)
    assert not torch.allclose(hyper, plain, atol=1e-3)
    assert not torch.allclose(changed, plain, atol=1e-3)
    assert not torch.allclose(merged, plain, atol=1e-3)
    with compiled(unet, backend="eager"):
        assert torch.allclose(predicted(unet), plain, atol=1e-6)
        with applied({name: target}, uses):
            assert torch.allclose(predicted(unet), changed, atol=1e-6)
        assert torch.allclose(predicted(unet), plain, atol=1e-6)
        with token_merging(unet, 0.5):
            assert torch.allclose(predicted(unet), merged, atol=1e-6)
        assert torch.allclose(predicted(unet), plain, atol=1e-6)
        with hypernetwork.applied(layers, doubled):
            assert torch.allclose(predicted(unet), hyper, atol=1e-6)
        assert torch.allclose(predicted(unet), plain, atol=1e-6)
