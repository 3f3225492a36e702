"""A Brownian path that can be asked anywhere in any order: the virtual Brownian tree of Li et al. 2020, arXiv:2001.01328, §4.

Seeds, halving and rounding are those of torchsde's BrownianTree, with which the field draws its pictures: the same seed
gives the same path. The numbers of each node come from whatever source `draw` is.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from torch import Tensor

POOL = 24  # words of entropy per node
DIGITS = 6  # times are told apart to a millionth
KEPT = 64  # nodes whose value is remembered

Draw = Callable[[int], Tensor]  # a seed -> unit normal numbers


class _Node(NamedTuple):
    """A piece of the time axis; `number` counts the pieces of one depth from the left."""

    start: float
    end: float
    number: int = 0
    depth: int = 0

    def halves(self) -> "tuple[_Node, _Node]":
        middle = round(0.5 * (self.end + self.start), DIGITS)
        number, depth = 2 * self.number, self.depth + 1
        return _Node(self.start, middle, number, depth), _Node(middle, self.end, number + 1, depth)


class BrownianTree:
    """W over [start, end] with the given seed: a call (ta, tb), ta <= tb, answers W(tb) - W(ta)."""

    def __init__(self, start: float, end: float, seed: int, draw: Draw) -> None:
        self._root = _Node(round(start, DIGITS), round(end, DIGITS))
        self._seed, self._draw = seed, draw
        self._whole = self._numbers() * math.sqrt(end - start)
        self._kept: OrderedDict[_Node, Tensor] = OrderedDict()

    def __call__(self, ta: float, tb: float, /) -> Tensor:
        ta, tb = (min(max(round(t, DIGITS), self._root.start), self._root.end) for t in (ta, tb))
        if ta >= tb:
            return self._whole * 0
        return self._between(ta, tb, self._root, self._whole)

    def _between(self, ta: float, tb: float, node: _Node, increment: Tensor) -> Tensor:
        """The part of a node's increment that lies within [ta, tb]."""
        while (ta, tb) != (node.start, node.end):
            left, right = node.halves()
            first = self._first_half(node, left, right, increment)
            if tb <= left.end:
                node, increment = left, first
            elif ta >= left.end:
                node, increment = right, increment - first
            else:
                before = self._between(ta, left.end, left, first)
                return before + self._between(left.end, tb, right, increment - first)
        return increment

    def _first_half(self, node: _Node, left: _Node, right: _Node, increment: Tensor) -> Tensor:
        """The left half's share of a node's increment: a Brownian bridge. The latest ones are kept."""
        if node not in self._kept:
            before, after, whole = left.end - left.start, right.end - right.start, node.end - node.start
            noise = self._numbers(node.number, node.depth)
            self._kept[node] = increment * (before / whole) + noise * math.sqrt(before * after / whole)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(node)
        return self._kept[node]

    def _numbers(self, *place: int) -> Tensor:
        sequence = np.random.SeedSequence(entropy=self._seed, spawn_key=place, pool_size=POOL)
        return self._draw(int(sequence.generate_state(1)[0]))
