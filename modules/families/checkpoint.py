"""From one file to a built model: header, check, empty networks, tensors; and back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modules.core.errors import InvalidModelFile
from modules.core.tensorfile import Header, read_header
from modules.diffusion.denoiser import sigma_table
from modules.families import colours, single_file
from modules.families.built import BuildOptions, Built
from modules.families.configuration import METADATA_KEY, configuration
from modules.families.offload import apply_policy, weights_device
from modules.families.original_layout import TEXT_ENCODER, UNET, VAE, to_original, with_long_prefix
from modules.families.precision import Precision, precision

FIRST_BETA, LAST_BETA, TRAINING_STEPS = 0.00085, 0.012, 1000


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a tensor of the file belongs: parameter `name` of the network `part`, in this shape."""

    part: str
    name: str
    shape: tuple[int, ...]


def build(path: Path, options: BuildOptions, *, family: str) -> Built:
    """The model of this file, on the device and in the number types of `options`.

    Raises InvalidModelFile before anything large is allocated when the file does not hold what its configuration says.
    """
    header = read_header(path)
    config = configuration(header.metadata, path.name)
    networks = _empty_networks(config, path.name)
    places = _places(networks, config, header, path.name)
    kinds = precision(options.device, options.half)
    parameters = _read(path, header, places, kinds, torch.device(weights_device(options)))
    from modules.families.networks import filled

    ready = {part: filled(network, parameters[part]) for part, network in networks.items()}
    return _built(ready, config, header, options, family)


def _empty_networks(config: Mapping[str, Mapping[str, Any]], file_name: str) -> dict[str, nn.Module]:
    # imported late: diffusers takes seconds, and an engine should answer before
    from modules.families.networks import empty_networks

    try:
        return empty_networks(config)
    except (TypeError, ValueError, KeyError, IndexError, ZeroDivisionError, RuntimeError, AttributeError) as error:
        raise InvalidModelFile(
            f"{file_name} carries a network configuration that no network has: {str(error)[:300]}."
        ) from error


def _places(
    networks: Mapping[str, nn.Module], config: Mapping[str, Mapping[str, Any]], header: Header, file_name: str
) -> dict[str, Place]:
    """Where each needed tensor of the file goes, by its name there. Checks names and shapes, reads nothing."""
    in_file = {with_long_prefix(name): name for name in header.shapes}
    places: dict[str, Place] = {}
    for part, network in networks.items():
        wanted = network.state_dict()
        for name, original in zip(wanted, to_original({part: wanted}, config), strict=True):
            shape = tuple(wanted[name].shape)
            _check_tensor(header, in_file.get(original, ""), original, shape, file_name)
            places[in_file[original]] = Place(part=part, name=name, shape=shape)
    return places


def _check_tensor(header: Header, name: str, original: str, expected: tuple[int, ...], file_name: str) -> None:
    if not name:
        raise InvalidModelFile(
            f"{file_name} is not a whole Stable Diffusion 1.x checkpoint: the tensor {original!r} is missing."
        )
    shape = header.shapes[name]
    if _without_ones(shape) != _without_ones(expected):
        raise InvalidModelFile(
            f"{file_name} does not fit its configuration: {original!r} has the shape {list(shape)}, "
            f"expected was {list(expected)}."
        )


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A linear layer and a 1x1 convolution hold the same numbers; files have either."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _read(
    path: Path, header: Header, places: Mapping[str, Place], kinds: Precision, device: torch.device
) -> dict[str, dict[str, Tensor]]:
    """The parameters by part, each converted as soon as it is read: the file's numbers are never held all at once."""
    number_of = {UNET: kinds.network, VAE: kinds.vae, TEXT_ENCODER: kinds.text_encoder}
    found: dict[str, dict[str, Tensor]] = {part: {} for part in number_of}
    for name, tensor in single_file.tensors(path, header, places.keys()):
        place = places[name]
        shaped = tensor.reshape(place.shape)
        # Convolutions run fastest with the channels innermost, on CPUs and GPUs alike. Number type and order change in
        # one step: two would be faster in the cache, but touch fresh memory twice, which costs more.
        layout = torch.channels_last if shaped.ndim == 4 else torch.contiguous_format
        found[place.part][place.name] = shaped.to(device, number_of[place.part], memory_format=layout)
    return found


def _built(
    networks: Mapping[str, nn.Module],
    config: Mapping[str, Mapping[str, Any]],
    header: Header,
    options: BuildOptions,
    family: str,
) -> Built:
    vae: Any = networks[VAE]
    built = Built(
        family=family,
        unet=networks[UNET],
        vae=vae,
        text_encoder=networks[TEXT_ENCODER],
        sigmas=tuple(sigma_table(FIRST_BETA, LAST_BETA, TRAINING_STEPS)),
        device=options.device,
        dtype=next(networks[UNET].parameters()).dtype,
        scaling_factor=vae.config.scaling_factor,
        latent_channels=vae.config.latent_channels,
        colours=colours.from_metadata(header.metadata),
        config=config,
        metadata=header.metadata,
    )
    apply_policy(built, options)
    return built


def save(model: Built, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a model in the original layout and float16, with its configuration. Raises StorageFailed."""
    parts = {UNET: model.unet, VAE: model.vae, TEXT_ENCODER: model.text_encoder}
    states = {part: network.state_dict() for part, network in parts.items()}
    tensors = {name: tensor.half() for name, tensor in to_original(states, model.config).items()}
    single_file.save(path, tensors, {METADATA_KEY: json.dumps(model.config)} | dict(metadata))
