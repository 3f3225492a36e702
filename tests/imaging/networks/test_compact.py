import pytest
import torch
from imaging.networks.layouts import basicsr, small, small_compact
from torch.nn.functional import conv2d, interpolate, pixel_shuffle, prelu

from modules.imaging.networks.compact import compact

x = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@torch.no_grad()
def test_it_adds_detail_to_the_enlarged_picture(scale):
    tensors = small_compact(scale).state_dict()
    value = x
    for n in (0, 2, 4):
        value = conv2d(value, tensors[f"body.{n}.weight"], tensors[f"body.{n}.bias"], padding=1)
        if n < 4:
            value = prelu(value, tensors[f"body.{n + 1}.weight"])
    value = prelu(value, tensors["body.5.weight"])
    value = conv2d(value, tensors["body.6.weight"], tensors["body.6.bias"], padding=1)
    found = compact(tensors)
    assert found.scale == scale
    expected = pixel_shuffle(value, scale) + interpolate(x, scale_factor=scale)
    assert torch.allclose(found(x), expected, atol=1e-6)


@pytest.mark.parametrize(
    "state",
    [
        {},
        basicsr(small()),
        small_compact().state_dict() | {"more.weight": torch.zeros(1)},
        {name: value for name, value in small_compact().state_dict().items() if name != "body.2.bias"},
        {"body.0.weight": torch.zeros(8, 3, 3, 3)},
        small_compact().state_dict() | {"body.6.weight": torch.zeros(7, 8, 3, 3)},
    ],
)
def test_other_files_are_left_to_others(state):
    assert compact(state) is None
