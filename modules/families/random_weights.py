"""A whole checkpoint with random weights: what to measure and test with where the real one is not at hand.

    python -m modules.families.random_weights PATH [--small]

The weights keep the size of what flows through the networks, so nothing overflows; the pictures are coloured noise.
"""

import argparse
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from modules.families import single_file
from modules.families.configuration import METADATA_KEY, Config, bundled
from modules.families.original_layout import to_original


def small() -> Config:
    """The same kind of networks, two million parameters in all: for tests."""
    config = bundled()
    config["unet"] |= {
        "sample_size": 8,
        "block_out_channels": [32, 64],
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "layers_per_block": 1,
        "cross_attention_dim": 32,
        "attention_head_dim": 2,
        "norm_num_groups": 16,
    }
    config["vae"] |= {"block_out_channels": [16, 16, 32, 32], "layers_per_block": 1, "norm_num_groups": 16}
    config["text_encoder"] |= {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 32,
    }
    return config


def write(path: Path, config: Config, seed: int = 0, metadata: Mapping[str, str] | None = None) -> None:
    """Write a checkpoint in the original layout, in float16, with `config` in its metadata."""
    from modules.families.networks import empty_networks  # late: diffusers takes seconds to import

    generator = Generator().manual_seed(seed)
    states = {part: network.state_dict() for part, network in empty_networks(config).items()}
    drawn = {
        part: {name: _drawn(name, tensor.shape, generator) for name, tensor in state.items()}
        for part, state in states.items()
    }
    described = {METADATA_KEY: json.dumps(config)} | dict(metadata or {})
    single_file.save(path, to_original(drawn, config), described)


def _drawn(name: str, shape: torch.Size, generator: Generator) -> Tensor:
    """Norms are nearly the identity, embeddings small; the rest keeps the variance of what it is given.

    Biases are not nothing: an embedding whose mean is exactly 0 cannot be brought back to its mean after emphasis.
    """
    if len(shape) == 1:
        return torch.full(shape, 1.0 if name.endswith("weight") else 0.05, dtype=torch.float16)
    spread = 0.02 if "embedding" in name and "linear" not in name else 1 / math.sqrt(math.prod(shape[1:]))
    # drawn in 32 bits: the half-precision generator of the CPU is several times slower
    return (torch.randn(shape, generator=generator) * spread).half()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("path", type=Path)
    parser.add_argument("--small", action="store_true", help="two million parameters instead of a thousand million")
    parser.add_argument("--seed", type=int, default=0)
    given: Any = parser.parse_args()
    write(given.path, small() if given.small else bundled(), seed=given.seed)


if __name__ == "__main__":
    main()
