"""Autoencoders in files of their own, to put in place of a checkpoint's.

Three forms go about: the original one with and without `first_stage_model.` before each name, and that of diffusers.
"""

from pathlib import Path
from typing import Any

from torch import Tensor

from modules.core.errors import InvalidModelFile
from modules.core.tensorfile import Header, read_header
from modules.families.built import Built
from modules.families.configuration import Config, bundled, configuration
from modules.families.filling import filled, places_of
from modules.families.folder import present_name
from modules.families.original_layout import PREFIXES, VAE, Layout, is_vae_projection, sources
from modules.families.precision import FULL, Precision
from modules.families.recognise import description
from modules.families.store import Store

WHAT = "autoencoder"
IN_CHECKPOINT = tuple(PREFIXES[VAE] + part for part in ("encoder.", "decoder.", "quant_conv.", "post_quant_conv."))
IN_ORIGINAL, IN_DIFFUSERS = "decoder.mid.block_1.conv1.weight", "decoder.mid_block.resnets.0.conv1.weight"


def load_vae(path: Path, *, like: Built) -> Any:
    """The autoencoder of this file, in the sizes, number type and place of that of a model, which it can stand in for.

    Raises InvalidModelFile naming the first tensor that is missing or has another shape.
    """
    store = _opened(path)
    config = _configuration(store, like.config)
    from modules.families.networks import empty_networks  # late: diffusers takes seconds to import

    networks = empty_networks(config)
    places = places_of(networks, config, store, WHAT)
    number = next(like.vae.parameters()).dtype
    kinds = Precision(network=FULL.network, vae=number, text_encoder=FULL.text_encoder)
    return filled(networks, store, places, kinds, like.device)[VAE]


def in_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of an autoencoder's file under the names they have in a checkpoint: what to bake in.

    Raises InvalidModelFile.
    """
    store = _opened(path)
    if not store.in_diffusers_form:
        return dict(store.tensors([name for name in store.places if name.startswith(IN_CHECKPOINT)]))
    table = _configuration(store, {})[VAE]
    names = [name.removeprefix(f"{VAE}/") for name in store.places]
    try:
        there = sources(VAE, table, names)
    except KeyError as error:
        raise InvalidModelFile(f"{path.name} is no autoencoder that a checkpoint can hold: {error}.") from error
    found = {name.removeprefix(f"{VAE}/"): tensor for name, tensor in store.tensors(store.places.keys())}
    return {
        there[name].name: tensor.reshape(*tensor.shape, 1, 1) if _is_flat(name, tensor) else tensor
        for name, tensor in found.items()
    }


def _is_flat(name: str, tensor: Tensor) -> bool:
    return is_vae_projection(VAE, name) and tensor.ndim == 2


def _configuration(store: Store, known: Any) -> Config:
    own = configuration(store.metadata, store.name, (VAE,))
    return own or {VAE: known.get(VAE) or bundled()[VAE]}


def _opened(path: Path) -> Store:
    header = read_header(path)
    forms: dict[str, tuple[str, bool]] = {PREFIXES[VAE] + IN_ORIGINAL: ("", False), IN_ORIGINAL: (PREFIXES[VAE], False)}
    forms[IN_DIFFUSERS] = (f"{VAE}/", True)
    for sign, (prefix, diffusers) in forms.items():
        if sign in header.shapes:
            return _store(path, header, prefix, diffusers)
    raise InvalidModelFile(f"{path.name} is {description(header.shapes)}, not an autoencoder.")


def _store(path: Path, header: Header, prefix: str, diffusers: bool) -> Store:
    places = {prefix + (present_name(VAE, name) if diffusers else name): (path, header, name) for name in header.shapes}
    return Store(path=path, layout=Layout(), places=places, metadata=header.metadata, in_diffusers_form=diffusers)
