"""Tensors of a store into empty networks: first every name and shape is checked, then they are read one by one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from modules.core.errors import InvalidModelFile
from modules.families import eighth
from modules.families.open_clip import Source
from modules.families.original_layout import UNET, VAE
from modules.families.precision import Precision
from modules.families.store import Store


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a tensor of the file, or a piece of it, belongs: parameter `name` of the network `part`, in this shape."""

    part: str
    name: str
    shape: tuple[int, ...]
    source: Source


Places = dict[str, list[Place]]


def places_of(
    networks: Mapping[str, nn.Module], config: Mapping[str, Mapping[str, Any]], store: Store, what: str
) -> Places:
    """Where each needed tensor goes, by its name in the store. Reads nothing.

    Raises InvalidModelFile with the first tensor that is missing or has another shape; `what` it should be a whole of.
    """
    places: Places = {}
    for part, network in networks.items():
        wanted = network.state_dict()
        for name, source in store.sources(part, config[part], wanted).items():
            shape = tuple(wanted[name].shape)
            _check(store, source, shape, what)
            places.setdefault(source.name, []).append(Place(part=part, name=name, shape=shape, source=source))
    return places


def _check(store: Store, source: Source, parameter: tuple[int, ...], what: str) -> None:
    if source.name not in store:
        raise InvalidModelFile(f"{store.name} is not a whole {what}: the tensor {source.name!r} is missing.")
    shape, expected = store.shape(source.name), source.shape(parameter)
    if _without_ones(shape) != _without_ones(expected):
        raise InvalidModelFile(
            f"{store.name} does not fit its configuration: {source.name!r} has the shape {list(shape)}, "
            f"expected was {list(expected)}."
        )


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A linear layer and a 1x1 convolution hold the same numbers; files have either."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def filled(
    networks: Mapping[str, nn.Module],
    store: Store,
    places: Places,
    kinds: Precision,
    device: torch.device,
    *,
    narrow: bool = False,
) -> dict[str, nn.Module]:
    """The networks with their weights, ready to run, by part. narrow: the U-Net's go into 8 bits as they are read."""
    from modules.families import networks as library  # late: diffusers takes seconds to import

    small = eighth.weights_of(networks[UNET]) if narrow else set[str]()
    parameters = _read(store, places, kinds, device, small)
    ready = {part: library.filled(network, parameters[part]) for part, network in networks.items()}
    if narrow:
        eighth.store(ready[UNET])
    return ready


def _read(
    store: Store, places: Places, kinds: Precision, device: torch.device, small: set[str]
) -> dict[str, dict[str, Tensor]]:
    """The parameters by part, each converted as soon as it is read: the file's numbers are never held all at once."""
    number_of = {UNET: kinds.network, VAE: kinds.vae}
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in store.tensors(places.keys()):
        for place in places[name]:
            shaped = place.source.of(tensor).reshape(place.shape)
            # Convolutions run fastest with the channels innermost, on CPUs and GPUs alike. Number type and order
            # change in one step: two would be faster in the cache, but touch fresh memory twice, which costs more.
            layout = torch.channels_last if shaped.ndim == 4 else torch.contiguous_format
            number = number_of.get(place.part, kinds.text_encoder)
            ready = shaped.to(device, number, memory_format=layout)
            narrow = place.part == UNET and place.name in small
            found.setdefault(place.part, {})[place.name] = eighth.narrowed(ready) if narrow else ready
    return found
