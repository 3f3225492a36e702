"""Hypernetworks: small networks before the keys and values of every attention of the U-Net (NovelAI 2022, "NovelAI
Improvements on Stable Diffusion"; Ha et al. 2016, arXiv:1609.09106, for the name).

A file holds, for each width of attention input (320, 640, 768, …), one network for keys and one for values; each adds
to its input x what its layers make of x. Layers in the files of AUTOMATIC1111's trainer: linear, activation, layer
norm, dropout (nothing to do when not training), repeated; the last one has its activation only when the file says so.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.core.errors import InvalidModelFile
from modules.core.extension_points import Adapter, Use, hookimpl
from modules.diffusion.networks.tensors import is_safe, read_pickle

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "leakyrelu": functional.leaky_relu,
    "elu": functional.elu,
    "swish": functional.hardswish,
    "hardswish": functional.hardswish,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "mish": functional.mish,
    "gelu": functional.gelu,
    "celu": functional.celu,
    "selu": functional.selu,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "hardtanh": functional.hardtanh,
    "hardsigmoid": functional.hardsigmoid,
    "hardshrink": functional.hardshrink,
    "softshrink": functional.softshrink,
    "tanhshrink": functional.tanhshrink,
    "logsigmoid": functional.logsigmoid,
    "relu6": functional.relu6,
    "rrelu": functional.rrelu,
}
# how the first files, with two layers and nothing between, named them
OLD_NAMES = {"linear1": "linear.0", "linear2": "linear.1"}
WHERE = {".to_k": 0, ".to_v": 1}


@dataclass(frozen=True, kw_only=True, eq=False)
class Hypernetwork:
    """`networks`: for each width d the one for keys and the one for values, (…, d) -> (…, d) to be added."""

    name: str
    networks: Mapping[int, tuple[nn.Sequential, nn.Sequential]]


class Activation(nn.Module):
    """A function as a layer."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        """(…, d) -> (…, d)."""
        return ACTIVATIONS[self.name](x)


# Reading --------------------------------------------------------------------------------------------------------------


def load(path: Path) -> Hypernetwork:
    """The file, in float32 on the CPU. Raises InvalidModelFile for one that is damaged or of another kind."""
    content = {} if is_safe(path) else read_pickle(path)
    table = content if isinstance(content, Mapping) else {}
    pairs = {width: pair for width, pair in table.items() if _is_pair(width, pair)}
    if not pairs:
        raise InvalidModelFile(
            f"{path.name} is no hypernetwork: it has no networks for keys and values, by width of the attention."
        )
    try:
        networks = {width: (_network(pair[0], table), _network(pair[1], table)) for width, pair in pairs.items()}
        for width, pair in networks.items():
            _check(pair, width)
    except (KeyError, ValueError, IndexError, RuntimeError, AttributeError, TypeError) as error:
        raise InvalidModelFile(
            f"{path.name} is a hypernetwork of a kind that cannot be used: {str(error)[:200]}."
        ) from error
    return Hypernetwork(name=path.stem, networks=networks)


def _is_pair(width: Any, pair: Any) -> bool:
    return isinstance(width, int) and isinstance(pair, list | tuple) and len(pair) == 2


def _network(state: Mapping[str, Tensor], described: Mapping[str, Any]) -> nn.Sequential:
    """From one network's tensors; those with a matrix are linear layers, those with a vector layer norms."""
    numbers, old = _by_number(state)
    activation = str(described.get("activation_func") or "linear").lower()
    if activation not in ACTIVATIONS and activation != "linear":
        raise ValueError(f"nobody knows its activation {activation[:40]!r}")
    last = max(number for number, one in numbers.items() if one["weight"].ndim == 2)
    to_the_end = bool(described.get("activate_output", True))
    layers: list[nn.Module] = []
    for number in sorted(numbers):
        layers.append(_layer(numbers[number]))
        is_linear = isinstance(layers[-1], nn.Linear)
        if is_linear and activation != "linear" and not old and (number != last or to_the_end):
            layers.append(Activation(activation))
    return nn.Sequential(*layers).requires_grad_(False).eval()


def _by_number(state: Mapping[str, Tensor]) -> tuple[dict[int, dict[str, Tensor]], bool]:
    """Weights and biases by place in the network, and whether the file is of the first form."""
    found: dict[int, dict[str, Tensor]] = {}
    old = any(name.partition(".")[0] in OLD_NAMES for name in state)
    for name, tensor in state.items():
        first, _, rest = name.partition(".")
        _, number, kind = (f"{OLD_NAMES[first]}.{rest}" if first in OLD_NAMES else name).split(".")
        found.setdefault(int(number), {})[kind] = tensor.detach().float()
    return found, old


def _layer(tensors: Mapping[str, Tensor]) -> nn.Module:
    weight, bias = tensors["weight"], tensors.get("bias")
    if weight.ndim == 2:
        layer: nn.Module = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    else:
        layer = nn.LayerNorm(weight.shape[0], bias=bias is not None)
    layer.load_state_dict(dict(tensors))
    return layer


def _check(pair: Sequence[nn.Sequential], width: int) -> None:
    with torch.no_grad():
        for network in pair:
            if network(torch.zeros(1, width)).shape != (1, width):
                raise ValueError(f"what comes out is not {width} wide, as what goes in")


# Applying -------------------------------------------------------------------------------------------------------------


@contextmanager
def applied(layers: Mapping[str, nn.Module], uses: Sequence[Use]) -> Iterator[None]:
    """The model with these networks before its keys and values, one after the other, at the strength for the U-Net.

    Raises InvalidModelFile when no attention of the model is as wide as a file expects.
    """
    places = [(layer, WHERE[name[-5:]]) for name, layer in layers.items() if _is_attention(name)]
    active = [use for use in uses if use.unet]
    for use in active:
        if use.loaded.networks.keys().isdisjoint(layer.in_features for layer, _ in places):
            raise InvalidModelFile(
                f"{use.loaded.name} was made for another kind of model: none of its widths "
                f"({', '.join(map(str, use.loaded.networks))}) is in this one."
            )
    with ExitStack() as stack:
        for layer, which in places if active else []:
            stack.callback(layer.register_forward_pre_hook(_before(active, which)).remove)
        yield


def _is_attention(name: str) -> bool:
    return name.startswith("unet.") and name.endswith(tuple(WHERE))


def _before(uses: Sequence[Use], which: int) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    def change(_layer: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x = arguments[0]
        for use in uses:
            pair = use.loaded.networks.get(x.shape[-1])
            if pair is not None:
                network = pair[which].to(x.device)
                x = x + (use.unet * network(x.float())).to(x.dtype)
        return (x, *arguments[1:])

    return change


@hookimpl
def register_adapters() -> list[Adapter]:
    return [Adapter(name="Hypernetwork", kinds=("hypernet",), load=load, applied=applied)]
