"""A whole checkpoint with random weights: what to measure and test with where the real one is not at hand.

    python -m modules.families.random_weights PATH [--family sdxl] [--small]

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
from modules.families.architecture import STABLE_DIFFUSION_1, Architecture
from modules.families.configuration import METADATA_KEY, Config, bundled
from modules.families.kinds import sd2, sd15, sdxl, sdxl_refiner
from modules.families.original_layout import TEXT_ENCODERS, to_original

ARCHITECTURES: Mapping[str, Architecture] = {
    "sd1": STABLE_DIFFUSION_1,
    "sd1-inpaint": sd15.INPAINTING,
    "sd1-edit": sd15.EDITING,
    "sd2": sd2.STABLE_DIFFUSION_2,
    "sd2-v": sd2.STABLE_DIFFUSION_2,
    "sd2-inpaint": sd2.INPAINTING,
    "sdxl": sdxl.STABLE_DIFFUSION_XL,
    "sdxl-inpaint": sdxl.INPAINTING,
    "sdxl-edit": sdxl.EDITING,
    "sdxl-refiner": sdxl_refiner.REFINER,
}
SMALL_TIMES = 8  # width of the sizes' embedding in a small SDXL


def full(family: str = "sd1") -> Config:
    """The published configuration of a family."""
    architecture = ARCHITECTURES[family]
    config = bundled(architecture.configuration)
    config["unet"]["in_channels"] = architecture.channels
    return config


def small(family: str = "sd1") -> Config:
    """The same kind of networks, two or three million parameters in all: for tests."""
    config = full(family)
    for part in TEXT_ENCODERS:
        if part in config:
            config[part] |= _small_tower(wide=part != "text_encoder")
    widths = [config[part]["hidden_size"] for part in TEXT_ENCODERS if part in config]
    config["unet"] |= {
        "sample_size": 8,
        "block_out_channels": [32, 64],
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "layers_per_block": 1,
        "cross_attention_dim": sum(widths),
        "attention_head_dim": 2,
        "norm_num_groups": 16,
    }
    if "addition_embed_type" in config["unet"]:
        numbers = 5 if len(widths) == 1 else 6
        config["unet"] |= {
            "transformer_layers_per_block": 1,
            "addition_time_embed_dim": SMALL_TIMES,
            "projection_class_embeddings_input_dim": config["text_encoder_2"]["projection_dim"] + numbers * SMALL_TIMES,
        }
    config["vae"] |= {"block_out_channels": [16, 16, 32, 32], "layers_per_block": 1, "norm_num_groups": 16}
    return config


def _small_tower(wide: bool) -> dict[str, Any]:
    width = 48 if wide else 32
    return {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": width,
    }


def write(
    path: Path, config: Config, seed: int = 0, metadata: Mapping[str, str] | None = None, family: str = "sd1"
) -> None:
    """Write a checkpoint in the original layout, in float16, with `config` in its metadata."""
    from modules.families.networks import empty_networks  # late: diffusers takes seconds to import

    generator = Generator().manual_seed(seed)
    layout = ARCHITECTURES[family].layout
    networks = empty_networks(config, layout.open_clip)
    drawn = {
        part: {name: _drawn(name, tensor.shape, generator) for name, tensor in network.state_dict().items()}
        for part, network in networks.items()
    }
    predicts = {"modelspec.prediction_type": "v" if family == "sd2-v" else "epsilon"} if "sd2" in family else {}
    described = {METADATA_KEY: json.dumps(config)} | predicts | dict(metadata or {})
    single_file.save(path, to_original(drawn, config, layout), described)


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
    parser.add_argument("--family", choices=sorted(ARCHITECTURES), default="sd1")
    parser.add_argument("--small", action="store_true", help="two million parameters instead of a thousand million")
    parser.add_argument("--seed", type=int, default=0)
    given: Any = parser.parse_args()
    config = small(given.family) if given.small else full(given.family)
    write(given.path, config, seed=given.seed, family=given.family)


if __name__ == "__main__":
    main()
