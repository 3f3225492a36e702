"""The factor before a LoRA's product: alpha / r, from the file, its metadata or the configuration beside it.

kohya's tools keep alpha as a tensor of each layer. peft keeps it in `adapter_config.json`, diffusers the same in the
metadata, each network's with its name before the key. Without any, the factor is 1.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

METADATA_KEY = "lora_adapter_metadata"
PEFT_STEM, PEFT_CONFIG = "adapter_model", "adapter_config.json"
LONGEST = 1 << 20
NETWORKS = ("unet", "text_encoder", "text_encoder_2")


@dataclass(frozen=True, kw_only=True)
class Scales:
    """What a configuration of peft says; `alphas` and `ranks` by end of a layer's name."""

    alpha: float | None = None
    rank: int | None = None
    alphas: Mapping[str, float] = field(default_factory=dict)
    ranks: Mapping[str, int] = field(default_factory=dict)
    by_root: bool = False  # rsLoRA (Kalajdzievski 2023, arXiv:2312.03732): divided by √r

    def factor(self, layer: str, rank: int | None) -> float:
        """For a layer whose tensors are of this rank; None when they are not factored."""
        alpha = _of(self.alphas, layer, self.alpha)
        ranks = _of(self.ranks, layer, self.rank) or rank
        if alpha is None or not ranks:
            return 1.0
        return alpha / (math.sqrt(ranks) if self.by_root else ranks)


def _of(table: Mapping[str, Any], layer: str, default: Any) -> Any:
    """peft's keys are regular expressions; in files they are plain names, and a stranger's expression is not run."""
    for key, value in table.items():
        if layer == key.lstrip("^") or layer.endswith(f".{key}"):
            return value
    return default


def scales(path: Path, metadata: Mapping[str, str]) -> dict[str, Scales]:
    """By network's name, or under "" for all; empty when nothing is said."""
    if METADATA_KEY in metadata:
        table = _parsed(metadata[METADATA_KEY])
        named = {name: _without(f"{name}.", table) for name in NETWORKS}
        return {name: _scales(one) for name, one in named.items() if one}
    config = path.with_name(PEFT_CONFIG)
    if path.stem == PEFT_STEM and config.is_file() and config.stat().st_size < LONGEST:
        return {"": _scales(_parsed(config.read_text(encoding="utf-8", errors="replace")))}
    return {}


def of_layer(known: Mapping[str, Scales], layer: str) -> Scales:
    """Those for a layer's name."""
    network = layer.partition(".")[0]
    return known.get(network) or known.get("") or Scales()


def _parsed(text: str) -> dict[str, Any]:
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}


def _without(prefix: str, table: Mapping[str, Any]) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in table.items() if key.startswith(prefix)}


def _scales(table: Mapping[str, Any]) -> Scales:
    alpha, rank = table.get("lora_alpha", table.get("alpha")), table.get("r")
    return Scales(
        alpha=_number(alpha),
        rank=int(rank) if _number(rank) else None,
        alphas={str(key): float(value) for key, value in _pattern(table, "alpha_pattern")},
        ranks={str(key): int(value) for key, value in _pattern(table, "rank_pattern")},
        by_root=table.get("use_rslora") is True,
    )


def _pattern(table: Mapping[str, Any], name: str) -> list[tuple[str, Any]]:
    found = table.get(name)
    return [(key, value) for key, value in found.items() if _number(value)] if isinstance(found, dict) else []


def _number(value: Any) -> float | None:
    sound = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if sound else None
