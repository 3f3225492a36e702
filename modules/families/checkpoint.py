"""From a file or folder to a built model: headers, check, empty networks, tensors; and back."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from modules.core.errors import InvalidModelFile
from modules.core.extension_points import Family
from modules.families import colours, single_file
from modules.families.architecture import STABLE_DIFFUSION_1, VELOCITY, Architecture
from modules.families.built import BuildOptions, Built, Tower
from modules.families.configuration import METADATA_KEY, Config
from modules.families.filling import filled, places_of
from modules.families.offload import apply_policy, weights_device
from modules.families.open_clip import PROJECTION, last_layer
from modules.families.original_layout import TEXT_ENCODER, UNET, VAE, to_original
from modules.families.precision import precision
from modules.families.recognise import Shapes
from modules.families.store import Store, opened
from modules.families.training import Training, asked, training_of


def family_of_files(
    name: str, matches: Callable[[Shapes], bool], architecture: Architecture, aliases: tuple[str, ...], note: str
) -> Family:
    """A family whose models lie in files as this module reads and writes them."""
    return Family(
        name=name,
        matches=matches,
        build=partial(build, family=name, architecture=architecture),
        save=save,
        aliases=aliases,
        note=note,
    )


def build(path: Path, options: BuildOptions, *, family: str, architecture: Architecture = STABLE_DIFFUSION_1) -> Built:
    """The model of this file or folder, on the device and in the number types of `options`.

    Raises InvalidModelFile before anything large is allocated when it does not hold what its configuration says.
    """
    store = opened(path, architecture.layout)
    training = training_of(store, architecture)
    config, towers = _shortened(store.configuration(architecture), architecture, store)
    networks = _empty_networks(config, _projected(architecture, store), store.name)
    places = places_of(networks, config, store, f"{family} checkpoint")
    kinds = precision(options.device, options.half)
    device = torch.device(weights_device(options))
    ready = filled(networks, store, places, kinds, device, narrow=options.fp8)
    built = _built(ready, config, store, options, kinds.network, training)
    built.family, built.towers, built.sizes, built.layout = family, towers, architecture.sizes, architecture.layout
    apply_policy(built, options)
    if not built.prediction:
        built.prediction = asked(built)
    return built


def _shortened(config: Config, architecture: Architecture, store: Store) -> tuple[Config, tuple[Tower, ...]]:
    """Stable Diffusion 2 does not use the last layer of its text encoder; many files, and all folders, leave it out."""
    (first, *rest) = architecture.towers
    if first.reading.layer != -2 or not first.reading.normed:
        return config, architecture.towers
    layers = config[first.part]["num_hidden_layers"]
    if not store.in_diffusers_form:
        if layers < 2 or last_layer(store.layout.prefix(first.part), layers) in store:
            return config, architecture.towers
        config = config | {first.part: config[first.part] | {"num_hidden_layers": layers - 1}}
    return config, (replace(first, reading=replace(first.reading, layer=-1)), *rest)


def _projected(architecture: Architecture, store: Store) -> tuple[str, ...]:
    """The text encoders with a projection: those whose pooled state is used, and those in files that have one."""
    pooled = {tower.part for tower in architecture.towers if tower.reading.pooled}
    there = {part for part in store.layout.open_clip if store.layout.prefix(part) + PROJECTION in store}
    return tuple(pooled | there)


def _empty_networks(config: Config, projected: tuple[str, ...], file_name: str) -> dict[str, nn.Module]:
    # imported late: diffusers takes seconds, and an engine should answer before
    from modules.families.networks import empty_networks

    try:
        return empty_networks(config, projected)
    except (TypeError, ValueError, KeyError, IndexError, ZeroDivisionError, RuntimeError, AttributeError) as error:
        raise InvalidModelFile(
            f"{file_name} carries a network configuration that no network has: {str(error)[:300]}."
        ) from error


def _built(
    networks: Mapping[str, nn.Module],
    config: Config,
    store: Store,
    options: BuildOptions,
    number: torch.dtype,
    training: Training,
) -> Built:
    vae: Any = networks[VAE]
    return Built(
        family="",
        unet=networks[UNET],
        vae=vae,
        text_encoder=networks.get(TEXT_ENCODER),
        text_encoder_2=networks.get("text_encoder_2"),
        sigmas=training.sigmas,
        prediction=training.prediction,
        device=options.device,
        dtype=number,
        scaling_factor=vae.config.scaling_factor,
        latent_channels=vae.config.latent_channels,
        colours=colours.from_metadata(store.metadata),
        config=config,
        metadata=store.metadata,
        markers=training.markers,
    )


def save(model: Built, path: Path, metadata: Mapping[str, str], *, number: torch.dtype | None = torch.float16) -> None:
    """Write a model in the original layout, with its configuration. Raises StorageFailed.

    number: what it is stored in; None is the model's own types.
    """
    states = {part: network.state_dict() for part, network in model.networks.items()}
    tensors = to_original(states, model.config, model.layout) | {name: torch.zeros(0) for name in model.markers}
    predicts = "v" if model.prediction == VELOCITY else "epsilon"
    known = {METADATA_KEY: json.dumps(model.config), "modelspec.prediction_type": predicts}
    single_file.save(path, tensors, known | dict(metadata), number=number)
