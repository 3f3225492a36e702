"""Weights kept in 8 bits (float8 e4m3: Micikevicius et al. 2022, arXiv:2209.05433) and widened layer by layer for computing.

Half the memory of float16; three bits of mantissa are left of ten. Norms and biases stay as they are.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

STORED = torch.float8_e4m3fn
LARGEST = 448.0  # torch makes NaN of what is beyond it


class NarrowLinear(nn.Linear):
    """A linear layer whose weight is widened to what it is given."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input, self.weight.to(input.dtype), self.bias)


class NarrowConv2d(nn.Conv2d):
    """A convolution whose weight is widened to what it is given."""

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight.to(input.dtype), self.bias)


NARROW: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: NarrowLinear, nn.Conv2d: NarrowConv2d}
WIDE = {narrow: wide for wide, narrow in NARROW.items()}


def narrowed(tensor: Tensor) -> Tensor:
    """The nearest numbers of 8 bits."""
    return tensor if tensor.dtype == STORED else tensor.clamp(-LARGEST, LARGEST).to(STORED)


def weights_of(network: nn.Module) -> set[str]:
    """The names of the weights that `store` keeps in 8 bits."""
    return {f"{name}.weight" for name, module in network.named_modules() if type(module) in NARROW}


def store(network: nn.Module) -> None:
    """Keep the weights of this network's linear layers and convolutions in 8 bits from now on."""
    for module in network.modules():
        narrow = NARROW.get(type(module))
        if narrow is not None:
            # the object stays the same one, with its name and its hooks; only how it computes changes
            module.__class__ = narrow
            weight: Any = module.weight
            weight.data = narrowed(weight.data)


def widen(network: nn.Module, number: torch.dtype) -> None:
    """The way back, to weights of this type; what was rounded away does not return."""
    for module in network.modules():
        wide = WIDE.get(type(module))
        if wide is not None:
            module.__class__ = wide
            weight: Any = module.weight
            weight.data = weight.data.to(number)
