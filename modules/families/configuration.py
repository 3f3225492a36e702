"""The networks' configuration of a Stable Diffusion 1.x file: from its own metadata, else the published one.

A file may carry `atelier.config`: JSON {"unet": {…}, "vae": {…}, "text_encoder": {…}} with the fields that diffusers and
transformers use. It comes from strangers, so it is checked here before a network is made by it.
"""

import json
from collections.abc import Mapping
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
def _bundled_text() -> str:
    return (ASSETS / "stable_diffusion_1.json").read_text(encoding="utf-8")


def bundled() -> Config:
    """The configuration of Stable Diffusion 1.1 to 1.5."""
    return json.loads(_bundled_text())


def configuration(metadata: Mapping[str, str], file_name: str) -> Config:
    """The configuration of a file with this metadata. Raises InvalidModelFile when what it says cannot be."""
    text = metadata.get(METADATA_KEY)
    if not text:
        return bundled()
    try:
        config = json.loads(text)
        _check(config)
    except (ValueError, RecursionError) as error:
        raise InvalidModelFile(
            f"{file_name} carries a network configuration ({METADATA_KEY}) that cannot be used: {error}."
        ) from error
    useful = {part: _useful(config[part]) for part in PARTS}
    known = bundled()["text_encoder"]
    return useful | {"text_encoder": {key: value for key, value in useful["text_encoder"].items() if key in known}}


def _useful(table: dict[str, Any]) -> dict[str, Any]:
    """Without what the libraries note for themselves: `_class_name`, label tables."""
    return {key: value for key, value in table.items() if not key.startswith("_") and not isinstance(value, dict)}


def _check(config: Any) -> None:
    if not isinstance(config, dict):
        raise ValueError("it is not a table")
    for part in PARTS:
        if not isinstance(config.get(part), dict):
            raise ValueError(f"it has no table {part!r}")
        for key, value in config[part].items():
            _check_value(f"{part}.{key}", value, DEEPEST if key in COUNTS_OF_LAYERS else LARGEST_NUMBER)
    _check_text_tower(bundled()["text_encoder"] | config["text_encoder"])


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


def _check_text_tower(table: dict[str, Any]) -> None:
    """transformers checks these too, but answers with an exception that it does not offer for import."""
    for key, usual in bundled()["text_encoder"].items():
        if type(table[key]) is not type(usual):
            raise ValueError(f"text_encoder.{key} is {str(table[key])[:80]!r}")
        if isinstance(usual, int) and table[key] < 1:
            raise ValueError(f"text_encoder.{key} is {table[key]}")
    if table["hidden_size"] % table["num_attention_heads"]:
        raise ValueError("text_encoder.hidden_size is no multiple of num_attention_heads")
