"""Low-rank layers beside a model's own: Hu et al. 2021, arXiv:2106.09685, §4.1, h = W x + (α/r) B A x.

For a convolution A has the layer's own kernel and B is 1x1 (Yeh et al. 2024, arXiv:2309.14859, §3).
Letters: o outputs, i inputs of a layer, r rank, k kernel height and width (none for a linear layer).
"""

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from modules.diffusion.networks.changed import current, lent

Layer = nn.Linear | nn.Conv2d


@dataclass(kw_only=True, eq=False)
class LowRank:
    """What is learned beside one `layer`. `down` (r, i, k) is A and `up` (o, r, 1) is B, both float32.

    `resting`: the layer answers alone, because its weight holds the product already.
    """

    layer: Layer
    down: nn.Parameter
    up: nn.Parameter
    alpha: float
    resting: bool = False

    @property
    def scale(self) -> float:
        """α/r."""
        return self.alpha / self.down.shape[0]

    def added(self, x: Tensor) -> Tensor:
        """(α/r) B A x, in the numbers of `x` or those that autocast chooses."""
        if not torch.is_autocast_enabled(x.device.type):
            x = x.to(self.down.dtype)
        if isinstance(self.layer, nn.Linear):
            return functional.linear(functional.linear(x, self.down) * self.scale, self.up)
        one = self.layer
        small = functional.conv2d(x, self.down, None, one.stride, _padding(one), one.dilation)
        return functional.conv2d(small * self.scale, self.up)

    @torch.no_grad()
    def product(self) -> Tensor:
        """(α/r) B A, float32, in the shape of the layer's weight."""
        product = self.up.flatten(1) @ self.down.flatten(1)
        return (product * self.scale).reshape(self.layer.weight.shape)


def _padding(layer: nn.Conv2d) -> tuple[int, ...]:
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros" or layer.groups != 1:
        raise ValueError(f"no low-rank layer is known for {layer}")
    return layer.padding


def low_rank(layer: Layer, rank: int, alpha: float, generator: Generator) -> LowRank:
    """A layer that adds nothing yet: A is drawn as torch draws a linear layer's weight (kaiming, a = √5), B is 0."""
    outputs, inputs = layer.weight.shape[0], layer.weight.shape[1:]
    # also inside torch's inference mode, in which nothing could learn
    with torch.inference_mode(mode=False):
        down = torch.empty(rank, *inputs)
        nn.init.kaiming_uniform_(down, a=math.sqrt(5), generator=generator)
        up = torch.zeros(outputs, rank, *(1 for _ in inputs[1:]))
        first, second = (nn.Parameter(one.to(layer.weight.device)) for one in (down, up))
    return LowRank(layer=layer, down=first, up=second, alpha=float(alpha))


def layers_named(network: nn.Module, endings: Collection[str] | None) -> Iterator[tuple[str, Layer]]:
    """The linear layers and convolutions whose names end so, in the network's order; every one when None."""
    for name, module in network.named_modules():
        if isinstance(module, Layer) and (endings is None or _ends(name, endings)):
            yield name, module


def _ends(name: str, endings: Collection[str]) -> bool:
    return any(name == end or name.endswith(f".{end}") for end in endings)


@contextmanager
def attached(added: Mapping[str, LowRank]) -> Iterator[None]:
    """While inside, every layer answers with what is learned beside it, whoever calls it."""
    hooks = [one.layer.register_forward_hook(_hook(one)) for one in added.values()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _hook(one: LowRank) -> Any:
    def add(_layer: nn.Module, given: tuple[Tensor, ...], answer: Tensor) -> Tensor:
        return answer if one.resting else answer + one.added(given[0]).to(answer.dtype)

    return add


@contextmanager
def merged(added: Mapping[str, LowRank]) -> Iterator[None]:
    """While inside, the layers' own weights hold what is learned: W + (α/r) B A, rounded once to W's numbers."""
    with lent() as write:
        try:
            for one in added.values():
                write(one.layer, "weight", current(one.layer, "weight").float() + one.product())
                one.resting = True
            yield
        finally:
            for one in added.values():
                one.resting = False
