"""LoRA and its relatives (LoCon, LoHa, LoKr, DoRA, whole differences): added to a model's weights for a job.

The algebra and its papers are in `networks/deltas.py`, the names in files in `networks/keys.py`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.core.errors import InvalidModelFile
from modules.core.extension_points import Adapter, Use, hookimpl
from modules.diffusion.networks import deltas
from modules.diffusion.networks.changed import Write, current, lent
from modules.diffusion.networks.keys import by_layer
from modules.diffusion.networks.scales import Scales, of_layer, scales
from modules.diffusion.networks.tensors import is_safe, read_pickle, read_tensors

log = logging.getLogger(__name__)

PICTURE_CHANNELS = 4
CHANGES = ("up", "hada_w1_a", "lokr_w1", "lokr_w1_a", "diff", "diff_b", "on_input")
TEXT = "text_encoder"  # how the dotted names of both text encoders begin
MISFITS = (RuntimeError, KeyError, IndexError)


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """What a file holds for one layer: the parts and the factor before their product."""

    name: str
    parts: Mapping[str, Tensor]
    factor: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Lora:
    """A file in memory. `unknown`: tensors whose names no form of network is known to use."""

    name: str
    layers: tuple[Layer, ...]
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Matched:
    """How many layers of a file the model has, and the names of those it has not."""

    name: str
    layers: int
    missing: tuple[str, ...] = ()


# Reading --------------------------------------------------------------------------------------------------------------


def load(path: Path) -> Lora:
    """The file, its tensors on the CPU. Raises InvalidModelFile for one that is damaged or no LoRA."""
    metadata, tensors = read_tensors(path) if is_safe(path) else ({}, _from_pickle(path))
    parts, unknown = by_layer(tensors)
    known = scales(path, metadata)
    changing = {name: one for name, one in parts.items() if not one.keys().isdisjoint(CHANGES)}
    if not changing:
        raise InvalidModelFile(
            f"{path.name} is no LoRA that can be used: none of its {len(tensors)} tensors is named as in one."
        )
    layers = tuple(Layer(name=name, parts=one, factor=_factor(name, one, known)) for name, one in changing.items())
    return Lora(name=path.stem, layers=layers, unknown=(*unknown, *(name for name in parts if name not in changing)))


def _from_pickle(path: Path) -> dict[str, Tensor]:
    content = read_pickle(path)
    inner = content.get("state_dict", content) if isinstance(content, Mapping) else content
    table = inner if isinstance(inner, Mapping) else {}
    return {str(name): value for name, value in table.items() if isinstance(value, Tensor)}


def _factor(name: str, parts: Mapping[str, Tensor], known: Mapping[str, Scales]) -> float:
    ranks = deltas.rank(parts)
    if "alpha" in parts and parts["alpha"].numel() == 1:
        return float(parts["alpha"]) / ranks if ranks else 1.0
    return of_layer(known, name).factor(name, ranks)


# Applying -------------------------------------------------------------------------------------------------------------


@contextmanager
def applied(layers: Mapping[str, nn.Module], uses: Sequence[Use]) -> Iterator[tuple[Matched, ...]]:
    """The model with these files added at their strengths; yields what matched.

    Raises InvalidModelFile when no layer of a file is in the model, or one has another shape there.
    """
    text = {id(layer) for name, layer in layers.items() if name.startswith(TEXT)}
    matched = tuple(_matched(layers, use.loaded) for use in uses if use.text_encoder or use.unet)
    with lent() as write:
        for layer, shares in _shares(layers, uses, text).items():
            _write_sum(layer, shares, write)
        yield matched


@dataclass(frozen=True, kw_only=True, eq=False)
class _Share:
    """One file's part in a layer."""

    file: str
    layer: Layer
    strength: float
    dyn: int | None


def _matched(layers: Mapping[str, nn.Module], file: Lora) -> Matched:
    missing = tuple(layer.name for layer in file.layers if layer.name not in layers)
    if len(missing) == len(file.layers):
        raise InvalidModelFile(
            f"{file.name} was made for another kind of model: none of its {len(missing)} layers is in this one."
        )
    if missing or file.unknown:
        log.warning(
            "%s: %d of %d layers are not in this model (such as %s), %d tensors are of an unknown kind",
            file.name,
            len(missing),
            len(file.layers),
            ", ".join(missing[:3]),
            len(file.unknown),
        )
    return Matched(name=file.name, layers=len(file.layers) - len(missing), missing=missing)


def _shares(layers: Mapping[str, nn.Module], uses: Sequence[Use], text: set[int]) -> dict[nn.Module, list[_Share]]:
    found: dict[nn.Module, list[_Share]] = {}
    for use in uses:
        for one in use.loaded.layers:
            layer = layers.get(one.name)
            strength = use.text_encoder if id(layer) in text else use.unet
            if layer is not None and strength:
                share = _Share(file=use.loaded.name, layer=one, strength=strength, dyn=use.dyn)
                found.setdefault(layer, []).append(share)
    return found


_Added = Callable[[_Share, Tensor], Tensor | None]


@torch.no_grad()
def _write_sum(layer: nn.Module, shares: Sequence[_Share], write: Write) -> None:
    """All that the files add to one layer, in float32, rounded once."""
    for name, added in (("weight", _added_to_weight), ("bias", _added_to_bias)):
        if getattr(layer, name, None) is None:
            continue
        own = current(layer, name)
        parts = (found for share in shares if (found := _fitting(share, own, added)) is not None)
        total = None
        for one in parts:
            total = own.float() + one if total is None else total.add_(one)
        if total is not None:
            write(layer, name, total)


def _fitting(share: _Share, own: Tensor, added: _Added) -> Tensor | None:
    try:
        found = added(share, own)
        return None if found is None else _shaped(found, own.shape)
    except MISFITS as error:
        raise InvalidModelFile(
            f"{share.file} was made for another kind of model, or is damaged: its part {share.layer.name!r} does not "
            f"fit a layer of the shape {list(own.shape)}."
        ) from error


def _added_to_weight(share: _Share, own: Tensor) -> Tensor | None:
    parts = {name: tensor.to(own.device) for name, tensor in share.layer.parts.items()}
    if "dora" not in parts and "magnitude" not in parts:
        return deltas.delta(parts, own, share.layer.factor * share.strength, share.dyn)
    found = deltas.delta(parts, own, share.layer.factor, share.dyn)
    return None if found is None else deltas.decomposed(own, found, parts) * share.strength


def _added_to_bias(share: _Share, own: Tensor) -> Tensor | None:
    parts = share.layer.parts
    if "diff_b" in parts:
        return parts["diff_b"].to(own.device).float() * share.strength
    return parts["bias"].to(own.device).float() * share.layer.factor * share.strength if "bias" in parts else None


def _shaped(found: Tensor, shape: torch.Size) -> Tensor:
    """In the shape of the weight. Raises RuntimeError when it has another number of outputs or inputs."""
    if found.numel() == shape.numel() and found.shape[0] == shape[0]:
        return found.reshape(shape)
    if len(shape) == 4 and shape[1] > PICTURE_CHANNELS:
        # a file made for a plain model, on the first layer of one for inpainting: further channels stay as they are
        plain = found.reshape(shape[0], PICTURE_CHANNELS, *shape[2:])
        return functional.pad(plain, (0, 0, 0, 0, 0, shape[1] - PICTURE_CHANNELS))
    raise RuntimeError("another shape")


@hookimpl
def register_adapters() -> list[Adapter]:
    return [Adapter(name="LoRA", kinds=("lora", "lyco"), load=load, applied=applied)]
