"""Composition: "a AND b:0.5" is drawn from both texts at once (Liu et al. 2022, arXiv 2206.01714)."""

import math
import re
from dataclasses import dataclass

AND = re.compile(r"\bAND\b")
WEIGHT = re.compile(r"\s*+[+-]?+(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)")


@dataclass(frozen=True)
class Part:
    """One of the texts, and how much it counts."""

    text: str
    weight: float


def split_and(text: str) -> tuple[Part, ...]:
    """The parts of a prompt, at least one. It is split without regard to brackets: the field's way.

    >>> split_and("a cat :1.2 AND a dog:0.5")
    (Part(text='a cat', weight=1.2), Part(text=' a dog', weight=0.5))
    """
    return tuple(_part(part) for part in AND.split(text))


def _part(text: str) -> Part:
    """A number behind the last colon is a weight, with or without AND: "10:30" weighs 30, the field's way."""
    text = text.rstrip()
    head, colon, tail = text.rpartition(":")
    if colon and WEIGHT.fullmatch(tail) and math.isfinite(weight := float(tail)):
        return Part(head.rstrip(), weight)
    return Part(text, 1.0)
