"""Token merging: exact where tokens are alike, the rest is left alone, and the U-Net is as before afterwards."""

import pytest
import torch
from diffusers import UNet2DConditionModel

from modules.diffusion.merging import merge_for, token_merging


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.75, 0.9, 1.0])
@pytest.mark.parametrize(("h", "w"), [(8, 8), (6, 10), (7, 5), (2, 2), (3, 2)])
def test_the_number_of_tokens_and_the_way_back(h, w, ratio):
    x = drawn(2, h * w, 5)
    merge = merge_for(x, h, w, ratio)
    squares = (h // 2) * (w // 2)
    count = min(int(h * w * ratio), h * w - squares)
    if merge is None:
        assert count == 0
        return
    merged = merge.merged(x)
    assert merged.shape == (2, h * w - count, 5)
    assert merge.restored(merged).shape == x.shape


def test_tokens_that_are_not_merged_pass_unchanged():
    x = drawn(2, 64, 5)
    merge = merge_for(x, 8, 8, 0.3)
    back = merge.restored(merge.merged(x))
    places = merge.a.expand(2, -1, -1).gather(1, merge.kept)[..., 0]
    for row, kept, before in zip(back, places, x, strict=True):
        assert torch.equal(row[kept], before[kept])
    assert not torch.equal(back, x)


def test_squares_of_equal_tokens_lose_nothing():
    """The oracle: when each 2x2 square holds one vector four times, three of four can be merged without a loss."""
    x = drawn(2, 16, 5).view(2, 4, 4, 5).repeat_interleave(2, 1).repeat_interleave(2, 2).reshape(2, 64, 5)
    merge = merge_for(x, 8, 8, 0.75)
    merged = merge.merged(x)
    assert merged.shape[1] == 16
    assert torch.allclose(merge.restored(merged), x, atol=1e-6)


def test_what_is_merged_is_the_mean():
    x = torch.tensor([[[1.0, 0.0], [3.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])
    merge = merge_for(x, 2, 2, 0.25)
    back = merge.restored(merge.merged(x))
    assert torch.equal(back, torch.tensor([[[2.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 1.0]]]))


def test_a_picture_does_not_depend_on_its_neighbours():
    x = drawn(3, 64, 5)
    together = merge_for(x, 8, 8, 0.5)
    for row in range(3):
        alone = merge_for(x[row : row + 1], 8, 8, 0.5)
        assert torch.equal(alone.sources, together.sources[row : row + 1])
        assert torch.equal(alone.into, together.into[row : row + 1])


def test_nothing_to_merge():
    assert merge_for(drawn(1, 64, 5), 8, 8, 0.0) is None
    assert merge_for(drawn(1, 8, 5), 8, 1, 0.5) is None, "no whole square"


# In the U-Net


SIZES = {"sample_size": 8, "block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8}
ATTENTION = {"cross_attention_dim": 32, "attention_head_dim": 2}
DEEP = {
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
}
INNER = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
}


def unet(**blocks):
    torch.manual_seed(1)
    return UNet2DConditionModel(**SIZES, **ATTENTION, **blocks).eval().requires_grad_(False)


@torch.no_grad()
def predicted(network, size=(8, 8)):
    return network(drawn(2, 4, *size), torch.tensor([500, 20]), drawn(2, 7, 32), return_dict=False)[0]


def tokens_seen(network):
    """(tokens that each self-attention sees, hooks to remove)."""
    seen, hooks = {}, []
    for name, module in network.named_modules():
        if name.endswith("attn1.to_q"):
            record = lambda _m, arguments, name=name: seen.__setitem__(name, arguments[0].shape[1])  # noqa: E731
            hooks.append(module.register_forward_pre_hook(record))
    return seen, hooks


@pytest.mark.parametrize("size", [(8, 8), (6, 10)])
def test_only_the_blocks_with_the_most_tokens_see_fewer(size):
    network = unet(**DEEP)
    most = size[0] * size[1]
    seen, hooks = tokens_seen(network)
    predicted(network, size)
    plain = dict(seen)
    with token_merging(network, 0.5):
        predicted(network, size)
    for name, count in seen.items():
        assert count == (most - most // 2 if plain[name] == most else plain[name]), name
    assert set(plain.values()) == {most, most // 4}
    for hook in hooks:
        hook.remove()


def test_where_the_first_level_has_no_attention_the_next_is_merged():
    network = unet(**INNER)
    seen, _ = tokens_seen(network)
    with token_merging(network, 0.5):
        predicted(network)
    assert set(seen.values()) == {8}, "16 tokens at half the size, half of them merged"


def test_more_merging_is_further_from_the_plain_picture():
    network = unet(**DEEP)
    plain = predicted(network)
    differences = []
    for ratio in (0.05, 0.3, 0.7):
        with token_merging(network, ratio):
            differences.append((predicted(network) - plain).abs().mean().item())
            assert torch.equal(predicted(network), predicted(network)), "no chance is involved"
    assert 0 < differences[0] < differences[-1] < 0.5 * plain.abs().mean()


def hooks_of(network):
    return sum(len(one._forward_hooks) + len(one._forward_pre_hooks) for one in network.modules())


def failing(network):
    with token_merging(network, 0.5):
        assert hooks_of(network)
        raise ZeroDivisionError


def test_the_unet_is_as_before_also_after_an_error():
    network = unet(**DEEP)
    plain = predicted(network)
    with token_merging(network, 0.0):
        assert not hooks_of(network)
    with pytest.raises(ZeroDivisionError):
        failing(network)
    assert not hooks_of(network)
    assert torch.equal(predicted(network), plain)
