"""The autoencoder in tiles: the same picture but for what cannot be seen, no seams, nothing left behind."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from modules.families import tiled
from modules.families.built import BuildOptions, Built
from modules.families.kinds import sd15
from modules.families.tiled import Grid, starts

STARTER = Path(__file__).resolve().parents[2] / "models" / "Stable-diffusion" / "starter.safetensors"


@pytest.fixture(scope="module")
def starter() -> Built:
    """A trained autoencoder: random weights make no picture in which a seam could be seen."""
    return sd15.build(STARTER, BuildOptions(half=False))


@pytest.fixture(scope="module")
def scene() -> Tensor:
    """(1, 3, 256, 320): smooth hills of colour with sharp things in them."""
    y, x = torch.meshgrid(torch.linspace(0, 6, 256), torch.linspace(0, 8, 320), indexing="ij")
    picture = torch.stack([torch.sin(x + y), torch.cos(1.7 * y), torch.sin(x * 0.6 - y)]) * 0.6
    picture[:, 60:110, 40:90] = torch.tensor([0.9, -0.8, -0.8])[:, None, None]
    picture[:, 150:230, 200:215] = -0.9
    return picture[None]


def decibels(one: Tensor, other: Tensor) -> float:
    """Peak signal to noise ratio of pictures in -1 to 1."""
    return float(10 * torch.log10(4 / (one - other).square().mean()))


def test_a_picture_that_fits_one_tile_is_decoded_as_ever(starter: Built) -> None:
    latents = torch.randn(1, 4, 16, 12)
    assert torch.equal(tiled.decode(starter, latents, tile=16), starter.decode(latents))
    pixels = torch.rand(1, 3, 128, 96) * 2 - 1
    assert torch.equal(tiled.encode(starter, pixels, tile=16), starter.encode_picture(pixels))


def test_tiles_give_the_picture_of_the_whole(starter: Built, scene: Tensor) -> None:
    with torch.inference_mode():
        latents = starter.encode_picture(scene)
        whole = starter.decode(latents)
    found = tiled.decode(starter, latents, tile=20, overlap=8)
    assert found.shape == whole.shape
    assert decibels(found, whole) > 40
    assert (found - whole).abs().mean() * 127.5 < 1.5  # of 255
    # plain tiles, each with its own group norms, are what this is better than
    plain = _plain(starter, latents, tile=20, overlap=8)
    assert decibels(found, whole) > decibels(plain, whole) + 5


def _plain(built: Built, latents: Tensor, *, tile: int, overlap: int) -> Tensor:
    grid = Grid(tile=tile, overlap=overlap, scale=8)
    corners = [(y, x) for y in starts(latents.shape[2], grid) for x in starts(latents.shape[3], grid)]
    with torch.inference_mode():
        pieces = ((y, x, built.decode(latents[..., y : y + tile, x : x + tile])) for y, x in corners)
        return tiled.together(pieces, (latents.shape[2] * 8, latents.shape[3] * 8), grid)


def test_no_seam_can_be_seen(starter: Built, scene: Tensor) -> None:
    """Where a tile begins or ends, neighbouring pixels differ from those of the whole picture as little as elsewhere."""
    with torch.inference_mode():
        latents = starter.encode_picture(scene)
        whole = starter.decode(latents)
    grid = Grid(tile=20, overlap=8, scale=8)
    error = (tiled.decode(starter, latents, tile=20, overlap=8) - whole)[0].mean(0) * 127.5
    jumps = error.diff(dim=1).abs().mean(0)  # between column x and x + 1
    begins = [8 * x for x in starts(latents.shape[3], grid) if x]
    edges = [column - 1 for column in begins] + [8 * (x + 20) - 1 for x in starts(latents.shape[3], grid)][:-1]
    assert len(edges) == 4
    for edge in edges:
        assert jumps[edge] < 3 * jumps.median() + 0.1
        assert jumps[edge] < 0.5  # half a step of the 255


def test_encoding_in_tiles_is_encoding(starter: Built, scene: Tensor) -> None:
    with torch.inference_mode():
        whole = starter.encode_picture(scene)
    found = tiled.encode(starter, scene, tile=20, overlap=8)
    assert found.shape == whole.shape
    assert (found - whole).std() < 0.05 * whole.std()


def test_the_interior_of_a_tile_is_that_of_the_whole_when_its_norms_agree(starter: Built) -> None:
    """On a periodic picture every tile has the whole's means, so only the edges' reach is left: the interior is equal."""
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).tile(1, 1, 6, 6)
    with torch.inference_mode():
        whole = starter.decode(latents)
    found = tiled.decode(starter, latents, tile=32, overlap=16)
    inside = (slice(None), slice(None), slice(64, 96), slice(64, 96))
    assert (found - whole)[inside].abs().mean() < 0.02


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (33, 25)])
def test_narrow_pictures_and_batches(starter: Built, shape: tuple[int, int]) -> None:
    latents = torch.randn(2, 4, *shape, generator=torch.Generator().manual_seed(1))
    found = tiled.decode(starter, latents, tile=16, overlap=4)
    assert found.shape == (2, 3, shape[0] * 8, shape[1] * 8)
    assert torch.isfinite(found).all()
    alone = tiled.decode(starter, latents[1:], tile=16, overlap=4)
    torch.testing.assert_close(found[1:], alone, atol=1e-4, rtol=1e-3)


def test_nothing_is_left_on_the_norms(starter: Built) -> None:
    latents = torch.randn(1, 4, 24, 24)
    before = starter.decode(latents)
    tiled.decode(starter, latents, tile=16, overlap=4)
    norms = [one for one in starter.vae.modules() if isinstance(one, nn.GroupNorm)]
    assert norms
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in norms)
    assert torch.equal(starter.decode(latents), before)


def test_norms_are_freed_when_the_autoencoder_fails(starter: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(latents: Tensor) -> Tensor:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(starter, "decode", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        tiled.decode(starter, torch.randn(1, 4, 24, 24), tile=16, overlap=4)
    assert not any(one._forward_pre_hooks for one in starter.vae.modules())


@pytest.mark.parametrize(("length", "tile", "overlap"), [(100, 64, 16), (64, 64, 16), (20, 64, 16), (1000, 64, 16)])
def test_tiles_cover_a_side_and_overlap_enough(length: int, tile: int, overlap: int) -> None:
    found = starts(length, Grid(tile=tile, overlap=overlap, scale=8))
    assert found[0] == 0
    assert found[-1] + tile >= length
    assert all(later - earlier <= tile - overlap for earlier, later in pairwise(found))


def test_tiles_begin_where_latents_do() -> None:
    found = starts(1000, Grid(tile=512, overlap=128, scale=1 / 8), multiple=8)
    assert all(start % 8 == 0 for start in found)
