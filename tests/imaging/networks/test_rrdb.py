import pytest
import torch
from imaging.networks.layouts import basicsr, old, second, small, small_compact
from torch import nn
from torch.nn.functional import interpolate, leaky_relu

from modules.imaging.networks.rrdb import DenseBlock, rrdb

x = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("layout", [old, second, basicsr])
@pytest.mark.parametrize("ups", [1, 2, 3])
@torch.no_grad()
def test_every_layout_gives_the_same_network(layout, ups):
    net = small(ups=ups)
    found = rrdb(layout(net))
    assert found is not None
    assert found.scale == 2**ups
    assert found(x).shape == (1, 3, 9 * 2**ups, 7 * 2**ups)
    assert torch.equal(found(x), net(x))


@torch.no_grad()
def test_an_old_file_that_does_not_enlarge():
    net = small(ups=0)
    found = rrdb(old(net))
    assert found.scale == 1
    assert torch.equal(found(x), net(x))


@pytest.mark.parametrize(("channels", "scale"), [(12, 2), (48, 1)])
@torch.no_grad()
def test_pixels_are_unshuffled_in_front_for_smaller_scales(channels, scale):
    found = rrdb(basicsr(small(channels=channels)))
    assert found.scale == scale
    assert found(x).shape == (1, 3, 9 * scale, 7 * scale)  # sides that are no multiple are filled and cut


@torch.no_grad()
def test_it_computes_what_the_paper_draws():
    """Figure 4 of the paper, written down once more without the classes."""
    net = small(blocks=1)
    tensors = basicsr(net)

    def conv(name, value):
        return nn.functional.conv2d(value, tensors[f"{name}.weight"], tensors[f"{name}.bias"], padding=1)

    start = conv("conv_first", x)
    value = start
    for dense in (1, 2, 3):
        seen = [value]
        for n in (1, 2, 3, 4):
            seen.append(leaky_relu(conv(f"body.0.rdb{dense}.conv{n}", torch.cat(seen, 1)), 0.2))
        value = value + 0.2 * conv(f"body.0.rdb{dense}.conv5", torch.cat(seen, 1))
    value = start + conv("conv_body", start + 0.2 * value)
    for n in (1, 2):
        value = leaky_relu(conv(f"conv_up{n}", interpolate(value, scale_factor=2)), 0.2)
    expected = conv("conv_last", leaky_relu(conv("conv_hr", value), 0.2))
    assert torch.allclose(net(x), expected, atol=1e-6)


def test_a_dense_block_grows():
    assert [conv.in_channels for conv in DenseBlock(8, 4).convs] == [8, 12, 16, 20, 24]
    assert [conv.out_channels for conv in DenseBlock(8, 4).convs] == [4, 4, 4, 4, 8]


def changed(state, name, tensor):
    return state | {name: tensor}


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"layers.0.weight": torch.zeros(3)},
        small_compact().state_dict(),
        basicsr(small()) | {"surplus.weight": torch.zeros(1)},
        basicsr(small()) | {"conv_hr.weight": torch.zeros(8, 9, 3, 3)},
        basicsr(small()) | {"conv_first.weight": torch.zeros(8, 4, 3, 3)},
        {name: value for name, value in basicsr(small()).items() if "rdb2.conv3" not in name},
        {name: value for name, value in old(small()).items() if not name.startswith("model.1.sub.0.RDB2")},
    ],
    ids=["nothing", "other", "compact", "surplus", "shape", "channels", "missing", "missing in old"],
)
def test_other_files_are_left_to_others(state):
    assert rrdb(state) is None


def test_half_precision_is_read_as_single():
    found = rrdb({name: value.half() for name, value in basicsr(small()).items()})
    assert {value.dtype for value in found.state_dict().values()} == {torch.float32}
    assert not any(value.requires_grad for value in found.parameters())
