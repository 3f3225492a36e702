"""Token merging: self-attention on fewer tokens where neighbours look alike (Bolya and Hoffman 2023, arXiv:2303.17604).

§3–4 of the paper: one token of each 2x2 square is a destination (always its first: no chance, the same picture every
time); of the others, the most similar to a destination are averaged into it before attention and given its result
after. Applied to self-attention of the blocks with the most tokens, where it pays.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

SIDE = 2  # of the squares


@dataclass(frozen=True, kw_only=True, eq=False)
class Merge:
    """Which of n tokens go where. All indices (b, count, 1), the same for every channel.

    `sources`, `kept`: places of the tokens that are merged and of those that are not, among the sources;
    `into`: for each merged one, the number of its destination. `a`, `b`: places of sources and destinations (1, …, 1).
    """

    a: Tensor
    b: Tensor
    kept: Tensor
    sources: Tensor
    into: Tensor

    def merged(self, x: Tensor) -> Tensor:
        """(b, n, d) -> (b, n − merged, d): the kept sources, then the destinations with what was averaged into them."""
        source, destination = _take(x, self.a), _take(x, self.b)
        into = self.into.expand(-1, -1, x.shape[2])
        destination = destination.scatter_reduce(1, into, _take(source, self.sources), "mean", include_self=True)
        return torch.cat([_take(source, self.kept), destination], dim=1)

    def restored(self, x: Tensor) -> Tensor:
        """The reverse of `merged`: every merged token gets the result of its destination."""
        kept, destination = x.split([self.kept.shape[1], self.b.shape[1]], dim=1)
        found = x.new_empty(x.shape[0], self.a.shape[1] + self.b.shape[1], x.shape[2])
        _put(found, self.b.expand(x.shape[0], -1, -1), destination)
        a = self.a.expand(x.shape[0], -1, -1)
        _put(found, a.gather(1, self.kept), kept)
        _put(found, a.gather(1, self.sources), _take(destination, self.into))
        return found


def _take(x: Tensor, places: Tensor) -> Tensor:
    return x.gather(1, places.expand(x.shape[0], -1, x.shape[2]))


def _put(x: Tensor, places: Tensor, values: Tensor) -> None:
    x.scatter_(1, places.expand(-1, -1, x.shape[2]), values)


def merge_for(x: Tensor, height: int, width: int, ratio: float) -> Merge | None:
    """What to merge of tokens x (b, h·w, d), `ratio` of them, at most three of four; None when there is nothing."""
    a, b = _halves(height, width, x.device)
    count = min(a.shape[1], int(height * width * ratio))
    if count <= 0 or not b.shape[1]:
        return None
    metric = x / x.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    similar, nearest = (_take(metric, a) @ _take(metric, b).transpose(1, 2)).max(dim=-1)
    order = similar.argsort(dim=-1, descending=True, stable=True).unsqueeze(-1)
    sources, kept = order[:, :count], order[:, count:]
    return Merge(a=a, b=b, kept=kept, sources=sources, into=nearest.unsqueeze(-1).gather(1, sources))


def _halves(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(1, sources, 1) and (1, destinations, 1): the places, row by row, of the first of each whole square and the rest."""
    first = torch.zeros(height, width, dtype=torch.bool, device=device)
    first[: height // SIDE * SIDE : SIDE, : width // SIDE * SIDE : SIDE] = True
    places = torch.arange(height * width, device=device)
    return places[~first.flatten()].view(1, -1, 1), places[first.flatten()].view(1, -1, 1)


# In the U-Net ---------------------------------------------------------------------------------------------------------


@dataclass
class _Pass:
    """One call of the U-Net: the number of tokens of its largest attention, and the size and merge of the present block."""

    most: int = 0
    size: tuple[int, int] = (0, 0)
    merge: Merge | None = None


@contextmanager
def token_merging(unet: nn.Module, ratio: float) -> Iterator[None]:
    """While inside, this share of the tokens is merged (0: none; 0.5 is usual, 0.75 the most) in diffusers' U-Net."""
    if ratio <= 0:
        yield
        return
    now = _Pass()
    with ExitStack() as stack:

        def before(module: nn.Module, hook: Any) -> None:
            stack.callback(module.register_forward_pre_hook(hook).remove)

        before(unet, lambda *_: setattr(now, "most", 0))
        for transformer in (one for one in unet.modules() if hasattr(one, "transformer_blocks")):
            before(transformer, lambda _, arguments: _enter(now, arguments[0]))
            for block in transformer.transformer_blocks:
                before(block, lambda _, arguments: _choose(now, arguments[0], ratio))
                before(block.attn1, lambda _, arguments: _merged(now, arguments))
                hook = block.attn1.register_forward_hook(lambda _m, _a, output: _restored(now, output))
                stack.callback(hook.remove)
        yield


def _enter(now: _Pass, latents: Tensor) -> None:
    height, width = latents.shape[-2:]
    now.size, now.most = (height, width), max(now.most, height * width)


def _choose(now: _Pass, x: Tensor, ratio: float) -> None:
    height, width = now.size
    now.merge = merge_for(x, height, width, ratio) if height * width == now.most == x.shape[1] else None


def _merged(now: _Pass, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return arguments if now.merge is None else (now.merge.merged(arguments[0]), *arguments[1:])


def _restored(now: _Pass, output: Tensor) -> Tensor:
    return output if now.merge is None else now.merge.restored(output)
