"""Which pictures a batch holds: worked out from its number alone, so that a training goes on exactly where it stopped."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import torch

from modules.training.chance import Purpose, generator

BATCHES = -1  # the order of batches, beside the orders of pictures within kinds 0 …


@dataclass(frozen=True)
class Rows:
    """The pictures of one batch, and how many pictures were shown before it."""

    pictures: tuple[int, ...]
    before: int


class Order:
    """The order in which n pictures are shown. In each epoch every one is shown once, in another order.

    `kinds`: what pictures must have in common to be in one batch: their size. If all are alike, every batch holds
    `batch` pictures and epochs follow each other within it; else the last batch of each kind may hold fewer.
    """

    def __init__(self, kinds: Sequence[Hashable], batch: int, seed: int) -> None:
        self._count, self._batch, self._seed = len(kinds), batch, seed
        groups: dict[Hashable, list[int]] = {}
        for picture, kind in enumerate(kinds):
            groups.setdefault(kind, []).append(picture)
        self._groups = list(groups.values())
        self._epoch = lru_cache(maxsize=2)(self._batches)

    def epochs(self, batches: int) -> float:
        """How often every picture was shown after so many batches."""
        if len(self._groups) == 1:
            return batches * self._batch / self._count
        return batches / sum(-(-len(group) // self._batch) for group in self._groups)

    def rows(self, number: int) -> Rows:
        """The batch with this number, from 0 on."""
        if len(self._groups) == 1:
            before = number * self._batch
            return Rows(tuple(shown(self._count, before, self._batch, self._seed)), before)
        per_epoch = sum(-(-len(group) // self._batch) for group in self._groups)
        epoch, within = divmod(number, per_epoch)
        batches, before = self._epoch(epoch)
        return Rows(batches[within], epoch * self._count + before[within])

    def _batches(self, epoch: int) -> tuple[list[tuple[int, ...]], list[int]]:
        """The batches of an epoch, and how many of its pictures were shown before each."""
        batches: list[tuple[int, ...]] = []
        for kind, group in enumerate(self._groups):
            mixed = [group[place] for place in permutation(len(group), epoch, self._seed, kind=kind)]
            batches += [tuple(mixed[first : first + self._batch]) for first in range(0, len(mixed), self._batch)]
        ordered = [batches[place] for place in permutation(len(batches), epoch, self._seed, kind=BATCHES)]
        return ordered, [0, *accumulate(map(len, ordered))]


def shown(count: int, first: int, number: int, seed: int, purpose: int = Purpose.ORDER) -> list[int]:
    """The pictures at the places `first` … of an endless row of permutations of `count`."""
    places = (divmod(place, count) for place in range(first, first + number))
    return [permutation(count, epoch, seed, purpose)[within] for epoch, within in places]


@lru_cache(maxsize=16)
def permutation(count: int, epoch: int, seed: int, purpose: int = Purpose.ORDER, kind: int = 0) -> tuple[int, ...]:
    """The numbers below `count` in the order of this epoch."""
    return tuple(torch.randperm(count, generator=generator(seed, epoch, kind, purpose)).tolist())
