"""The average of the last weights, which is steadier than they are: Polyak and Juditsky 1992, as trainers do it."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Keeps a float32 average of parameters by name; `updates` counts how often it was brought up to date.

    Early weights are forgotten quickly: the decay grows as (1 + n) / (10 + n) up to `decay`, and the first update takes
    the weights as they are.
    """

    def __init__(self, named: Mapping[str, nn.Parameter], decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.weights = {name: value.detach().float().clone() for name, value in named.items()}

    @torch.no_grad()
    def update(self, named: Mapping[str, nn.Parameter]) -> None:
        """Take in the weights after a step."""
        grown = (1 + self.updates) / (10 + self.updates) if self.updates else 0.0
        for name, value in named.items():
            self.weights[name].lerp_(value.float(), 1 - min(self.decay, grown))
        self.updates += 1

    @contextmanager
    def instead_of(self, named: Mapping[str, nn.Parameter]) -> Generator[None, None, None]:
        """Let the parameters be the averaged ones for a while. Their tensors stay where they are, so optimizers hold on."""
        own = {name: value.detach().clone() for name, value in named.items()}
        try:
            _fill(named, self.weights)
            yield
        finally:
            _fill(named, own)


@torch.no_grad()
def _fill(named: Mapping[str, nn.Parameter], values: Mapping[str, Tensor]) -> None:
    for name, parameter in named.items():
        parameter.copy_(values[name])
