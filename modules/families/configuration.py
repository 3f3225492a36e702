"""The networks' configuration of a model: from its own metadata or folder, else the published one.

A file may carry `atelier.config`: JSON {"unet": {…}, "vae": {…}, "text_encoder": {…}} with the fields that diffusers and
transformers use; a folder of diffusers has a `config.json` beside each network. They come from strangers, so they are
checked here before a network is made by them.
"""

import json
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from modules.core.errors import InvalidModelFile

ASSETS = Path(__file__).parent / "assets"
METADATA_KEY = "atelier.config"
PARTS = ("unet", "vae", "text_encoder")

LARGEST_NUMBER = 1 << 17
LONGEST_TEXT = 64
DEEPEST = 64  # layers or levels: more would only be a way to keep the engine busy
COUNTS_OF_LAYERS = ("layers_per_block", "num_hidden_layers", "transformer_layers_per_block")

Config = dict[str, dict[str, Any]]


@cache
def _bundled_text(name: str) -> str:
    return (ASSETS / f"{name}.json").read_text(encoding="utf-8")


def bundled(name: str = "stable_diffusion_1") -> Config:
    """The published configuration of stable_diffusion_1 (1.1 to 1.5), _2, _xl or _xl_refiner."""
    return json.loads(_bundled_text(name))


def configuration(metadata: Mapping[str, str], file_name: str, parts: Collection[str] = PARTS) -> Config | None:
    """What a file with this metadata says of itself, or None. Raises InvalidModelFile when what it says cannot be."""
    text = metadata.get(METADATA_KEY)
    return checked(text, file_name, parts) if text else None


def checked(text: str, file_name: str, parts: Collection[str] = PARTS) -> Config:
    """A configuration of these parts, from JSON, with what is of use in it. Raises InvalidModelFile."""
    try:
        config = json.loads(text)
        _check(config, parts)
    except (ValueError, RecursionError) as error:
        raise InvalidModelFile(
            f"{file_name} carries a network configuration ({METADATA_KEY}) that cannot be used: {error}."
        ) from error
    return {part: _useful(part, config[part]) for part in parts}


def _useful(part: str, table: dict[str, Any]) -> dict[str, Any]:
    """Without what the libraries note for themselves: `_class_name`, label tables."""
    kept = {key: value for key, value in table.items() if not key.startswith("_") and not isinstance(value, dict)}
    if not part.startswith("text_encoder"):
        return kept
    known = bundled()["text_encoder"]
    return {key: value for key, value in kept.items() if key in known}


def _check(config: Any, parts: Collection[str]) -> None:
    if not isinstance(config, dict):
        raise ValueError("it is not a table")
    for part in parts:
        if not isinstance(config.get(part), dict):
            raise ValueError(f"it has no table {part!r}")
        for key, value in config[part].items():
            _check_value(f"{part}.{key}", value, DEEPEST if key in COUNTS_OF_LAYERS else LARGEST_NUMBER)
        if part.startswith("text_encoder"):
            _check_text_tower(part, bundled()["text_encoder"] | config[part])


def _check_value(name: str, value: Any, largest: int) -> None:
    if isinstance(value, list):
        if len(value) > DEEPEST:
            raise ValueError(f"{name} has {len(value)} entries")
        for one in value:
            _check_value(name, one, largest)
    elif isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise ValueError(f"{name} is a text of {len(value):,} characters")
    elif isinstance(value, int | float) and not -largest <= value <= largest:
        raise ValueError(f"{name} is {value}")


def _check_text_tower(part: str, table: dict[str, Any]) -> None:
    """transformers checks these too, but answers with an exception that it does not offer for import."""
    for key, usual in bundled()["text_encoder"].items():
        if type(table[key]) is not type(usual):
            raise ValueError(f"{part}.{key} is {str(table[key])[:80]!r}")
        if isinstance(usual, int) and table[key] < (0 if key.endswith("token_id") else 1):
            raise ValueError(f"{part}.{key} is {table[key]}")
    if table["hidden_size"] % table["num_attention_heads"]:
        raise ValueError(f"{part}.hidden_size is no multiple of num_attention_heads")
