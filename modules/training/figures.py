"""One figure of an evaluation, and how sure it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from modules.training.meters import mean_interval, share_interval

SEED = 20_221_123  # of every resampling: the same pictures always give the same interval


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One figure of n pictures. `low`, `high`: 95 %.

    `floor`: what a model that learned nothing, or chance, would give, the worse end; `ceiling`: the best that can be
    had here. `better`: "high" or "low". `group`: subject, prompt, class, failure or distribution.
    """

    name: str
    label: str
    value: float | None
    n: int
    low: float | None = None
    high: float | None = None
    floor: float | None = None
    ceiling: float | None = None
    better: str = "high"
    group: str = "subject"
    note: str = ""


def mean_of(name: str, label: str, values: Tensor, **known: Any) -> Measure:
    """The mean of one number for each picture, with its interval. Without pictures the value is None."""
    if not len(values):
        return Measure(name=name, label=label, value=None, n=0, **known)
    low, high = (plain(end) for end in mean_interval(values, SEED))
    return Measure(name=name, label=label, value=float(values.mean()), n=len(values), low=low, high=high, **known)


def share_of(name: str, label: str, right: Sequence[bool], **known: Any) -> Measure:
    """How many of the pictures are so, with its interval."""
    value = share(right)
    low, high = (plain(end) for end in share_interval(sum(right), len(right)))
    return Measure(name=name, label=label, value=value, n=len(right), low=low, high=high, **known)


def share(right: Sequence[bool]) -> float | None:
    """0 to 1; None of nothing."""
    return sum(right) / len(right) if right else None


def average(values: Tensor | None) -> float | None:
    """The mean; None of nothing."""
    return float(values.mean()) if values is not None and len(values) else None


def plain(number: float) -> float | None:
    """A number as JSON can hold it: None for what is not finite."""
    return number if math.isfinite(number) else None
