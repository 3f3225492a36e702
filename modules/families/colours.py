"""Latents as colours without the autoencoder: a linear map, from the file's metadata or fitted to its autoencoder.

Metadata `atelier.latent_rgb`: JSON list of c + 1 rows of red, green, blue in -1 to 1: one row for each channel of the
(scaled) latents, then the bias.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from modules.families.built import Built, LatentColours

METADATA_KEY = "atelier.latent_rgb"
SAMPLES, SIDE = 6, 8  # fields of noise decoded for a fit, and their side in latents


def from_metadata(metadata: Mapping[str, str]) -> LatentColours | None:
    """The map that a file carries; None when there is none, or none that can be used (a preview is no reason to fail)."""
    try:
        rows = json.loads(metadata.get(METADATA_KEY, "null"))
    except (ValueError, RecursionError):
        return None
    if not _is_table(rows):
        return None
    numbers = [tuple(float(number) for number in row) for row in rows]
    return LatentColours(matrix=tuple(numbers[:-1]), bias=numbers[-1])


def _is_table(rows: Any) -> bool:
    return (
        isinstance(rows, list)
        and 2 <= len(rows) <= 65
        and all(isinstance(row, list) and len(row) == 3 and all(_is_number(number) for number in row) for row in rows)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and abs(value) < 1e6


@torch.inference_mode()
def fitted(built: Built) -> LatentColours:
    """The linear map that comes nearest to the autoencoder, by least squares on decoded smooth noise.

    Smooth, because in pictures neighbouring latents are alike; on white noise the fit sees mostly the decoder's edges.
    """
    noise = torch.randn(SAMPLES, built.latent_channels, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    coarse = interpolate(noise[..., ::4, ::4], size=(SIDE, SIDE), mode="bilinear")
    latents = coarse + 0.3 * noise
    pictures = torch.cat([built.decode(one) for one in latents.split(1)])
    return fit(latents, avg_pool2d(pictures, built.downscale))


def fit(latents: Tensor, colours: Tensor) -> LatentColours:
    """Least squares: latents (b, c, h, w) to mean colours (b, 3, h, w) of the pixels that each of them stands for."""
    given = latents.permute(0, 2, 3, 1).flatten(0, 2).double()
    wanted = colours.permute(0, 2, 3, 1).flatten(0, 2).double().nan_to_num()
    solved = torch.linalg.lstsq(pad(given, (0, 1), value=1.0), wanted).solution
    rows = [tuple(row) for row in solved.tolist()]
    return LatentColours(matrix=tuple(rows[:-1]), bias=rows[-1])


def coloured(latents: Tensor, colours: LatentColours) -> Tensor:
    """Latents (b, c, h, w) as pictures (b, h, w, 3) of bytes, on the CPU."""
    matrix = torch.tensor(colours.matrix, dtype=torch.float32)
    bias = torch.tensor(colours.bias, dtype=torch.float32)
    rgb = latents.float().cpu().permute(0, 2, 3, 1) @ matrix + bias
    return ((rgb.nan_to_num().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
