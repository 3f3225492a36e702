"""Previews' colours: from metadata, by least squares, and never a reason to fail."""

import json
from pathlib import Path

import pytest
import torch

from modules.families import checkpoint, colours, random_weights
from modules.families.built import BuildOptions, LatentColours
from modules.families.kinds import sd15

ROWS = [[0.1, 0.2, 0.3], [0.0, -0.5, 0.25], [1.0, 0.0, 0.0], [0.0, 0.0, 0.5], [0.05, 0.0, -0.05]]


def test_a_fit_finds_the_map_that_is_there() -> None:
    latents = torch.randn(2, 4, 8, 8)
    matrix, bias = torch.tensor(ROWS[:-1]), torch.tensor(ROWS[-1])
    wanted = (latents.permute(0, 2, 3, 1) @ matrix + bias).permute(0, 3, 1, 2)
    found = colours.fit(latents, wanted)
    torch.testing.assert_close(torch.tensor(found.matrix), matrix, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.tensor(found.bias), bias, atol=1e-5, rtol=1e-5)


def test_metadata_says_how_latents_look(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    random_weights.write(path, random_weights.small(), metadata={colours.METADATA_KEY: json.dumps(ROWS)})
    known = checkpoint.build(path, BuildOptions(half=False), family="x").colours
    assert known == LatentColours(matrix=tuple(map(tuple, ROWS[:-1])), bias=tuple(ROWS[-1]))


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "5", "[]", "{", "[" * 100_000, "[[1, 2, 3]]", "[[1, 2], [3, 4]]"),
        *('[["a", "b", "c"], [1, 2, 3]]', "[[NaN, 0, 0], [0, 0, 0]]", "[[1e300, 0, 0], [0, 0, 0]]"),
        json.dumps([[0, 0, 0]] * 100),
    ],
)
def test_metadata_that_cannot_be_used_is_left_alone(text: str) -> None:
    assert colours.from_metadata({colours.METADATA_KEY: text}) is None


def test_the_fit_to_an_autoencoder_is_better_than_its_mean_colour(small_file: Path) -> None:
    built = sd15.build(small_file, BuildOptions(half=False))
    found = colours.fitted(built)
    latents = torch.nn.functional.interpolate(
        torch.randn(4, 4, 2, 2, generator=torch.Generator().manual_seed(1)), scale_factor=4, mode="bilinear"
    )
    with torch.inference_mode():
        truth = torch.nn.functional.avg_pool2d(built.decode(latents), built.downscale)
    guess = colours.coloured(latents, found).permute(0, 3, 1, 2).float() / 127.5 - 1
    assert (guess - truth).square().mean() < (truth - truth.mean((0, 2, 3), keepdim=True)).square().mean()
    again = colours.fitted(built)  # threads add up in whatever order: the last digit may differ
    torch.testing.assert_close(torch.tensor(again.matrix), torch.tensor(found.matrix))


def test_colours_are_bytes_whatever_the_latents_are() -> None:
    known = LatentColours(matrix=tuple(map(tuple, ROWS[:-1])), bias=tuple(ROWS[-1]))
    wild = torch.tensor([0.0, 1e30, -1e30, float("nan")]).expand(1, 4, 1, 4)
    found = colours.coloured(wild, known)
    assert (found.shape, found.dtype) == ((1, 1, 4, 3), torch.uint8)
