"""The autoencoder on large pictures, a tile at a time: memory for a tile, not for the picture.

Tiles overlap and are faded into each other. Group norms (Wu and He 2018, arXiv:1803.08494) would tear neighbours apart,
since each tile has a mean and a deviation of its own; so all tiles go through twice, and the second time every one is
given the mean of what the norms saw. That costs twice the time and leaves a tenth of the difference (`docs/models.md`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from modules.families.built import Built

TILE, OVERLAP = 64, 16  # latents


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Square tiles on latents. `scale`: how many places of the output stand for one of the input, along a side."""

    tile: int
    overlap: int
    scale: float


def decode(built: Built, latents: Tensor, *, tile: int = TILE, overlap: int = OVERLAP) -> Tensor:
    """As `Built.decode`, with no more memory than a tile of so many latents along a side needs."""
    grid = Grid(tile=tile, overlap=overlap, scale=built.downscale)
    return _in_tiles(latents, built.decode, built.vae.decoder, grid)


def encode(built: Built, pixels: Tensor, *, tile: int = TILE, overlap: int = OVERLAP) -> Tensor:
    """As `Built.encode_picture`; the tile is given in latents here too."""
    down = built.downscale
    grid = Grid(tile=tile * down, overlap=overlap * down, scale=1 / down)
    return _in_tiles(pixels, built.encode_picture, built.vae.encoder, grid, multiple=down)


@torch.inference_mode()
def _in_tiles(
    given: Tensor, run: Callable[[Tensor], Tensor], network: nn.Module, grid: Grid, multiple: int = 1
) -> Tensor:
    """given: (b, c, h, w). multiple: of what the beginning of each tile must be."""
    height, width = given.shape[-2:]
    if max(height, width) <= grid.tile:
        return run(given)
    corners = [(y, x) for y in starts(height, grid, multiple) for x in starts(width, grid, multiple)]
    norms: dict[nn.Module, _Seen] = {
        module: _Seen() for module in network.modules() if isinstance(module, nn.GroupNorm)
    }
    with _hooked(norms, "register_forward_pre_hook"):
        for y, x in corners:
            run(given[..., y : y + grid.tile, x : x + grid.tile])
    with _hooked(norms, "register_forward_hook"):
        pieces = ((y, x, run(given[..., y : y + grid.tile, x : x + grid.tile])) for y, x in corners)
        return together(pieces, (round(height * grid.scale), round(width * grid.scale)), grid)


def starts(length: int, grid: Grid, multiple: int = 1) -> list[int]:
    """Where tiles begin along a side, evenly, each overlapping the one before by `overlap` or more.

    >>> starts(100, Grid(tile=64, overlap=16, scale=8))
    [0, 36]
    """
    room = length - grid.tile
    if room <= 0:
        return [0]
    count = -(-room // (grid.tile - grid.overlap))
    return [*(index * room // count // multiple * multiple for index in range(count)), room]


def together(pieces: Iterator[tuple[int, int, Tensor]], size: tuple[int, int], grid: Grid) -> Tensor:
    """The tiles, each weighted by how far from its edges a place is; in float32, float16 has no such small weights."""
    whole, weights, kind = None, torch.zeros(size), torch.float32
    for y, x, piece in pieces:
        if whole is None:
            whole, kind = piece.new_zeros((*piece.shape[:2], *size), dtype=torch.float32), piece.dtype
            weights = weights.to(piece.device)
        top, left = round(y * grid.scale), round(x * grid.scale)
        rows, columns = slice(top, top + piece.shape[-2]), slice(left, left + piece.shape[-1])
        weight = _weight(piece, round(grid.overlap * grid.scale))
        whole[..., rows, columns] += piece * weight
        weights[rows, columns] += weight
    assert whole is not None
    return (whole / weights).to(kind)


def _weight(piece: Tensor, fade: int) -> Tensor:
    """(h, w): 1 inside, falling to nearly 0 at the edges, also at those of the picture, where no other tile is.

    It falls smoothly at both ends (3 t² - 2 t³): the outermost places of a tile, the wrongest, must not show.
    """
    down, across = (
        ((torch.minimum(torch.arange(side), torch.arange(side).flip(0)) + 0.5) / max(fade, 1)).clamp(max=1.0)
        for side in piece.shape[-2:]
    )
    down, across = (t * t * (3 - 2 * t) for t in (down, across))
    return (down[:, None] * across).to(piece.device)


# The whole picture's means and deviations in every tile ----------------------------------------------------------------


@dataclass
class _Seen:
    """What a group norm saw of the tiles: sums of means and of mean squares, (b, groups, 1), and of how many tiles."""

    tiles: int = 0
    mean: Tensor | float = 0.0
    square: Tensor | float = 0.0

    def before(self, module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        """Looks at what the norm is given."""
        groups = _groups(module, arguments[0])
        self.tiles += 1
        self.mean = self.mean + groups.mean(-1, keepdim=True)
        self.square = self.square + groups.square().mean(-1, keepdim=True)

    def instead(self, module: Any, arguments: tuple[Tensor, ...], _answer: Tensor) -> Tensor:
        """The norm's answer by the mean and deviation of the whole picture."""
        x, mean = arguments[0], self.mean / self.tiles
        variance = torch.as_tensor(self.square / self.tiles - mean**2).clamp_min(0)
        y = ((_groups(module, x) - mean) * torch.rsqrt(variance + module.eps)).reshape(x.shape)
        across = (1, -1) + (1,) * (x.ndim - 2)
        return (y * module.weight.float().view(across) + module.bias.float().view(across)).to(x.dtype)


def _groups(module: Any, x: Tensor) -> Tensor:
    return x.float().reshape(x.shape[0], module.num_groups, -1)


@contextmanager
def _hooked(norms: dict[nn.Module, _Seen], kind: str) -> Iterator[None]:
    hooks = [
        getattr(norm, kind)(seen.before if kind == "register_forward_pre_hook" else seen.instead)
        for norm, seen in norms.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
