"""Two ways to do the same thing, timed in turns in the same run: median ratio and its 95 % bootstrap interval."""

import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import psutil


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Seconds of ours and of the peer, pair by pair."""

    name: str
    goal: float
    ours: Sequence[float]
    peers: Sequence[float]

    @property
    def ratio(self) -> float:
        """Median of the pairs' ratios."""
        return statistics.median(self._ratios())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % bootstrap interval of the median ratio."""
        rng, ratios = random.Random(0), self._ratios()
        medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(2000))
        return medians[50], medians[-51]

    @property
    def verdict(self) -> str:
        """Whether the goal is met; an interval wider than ±5 % decides nothing."""
        low, high = self.interval
        if high - low > 0.1 * self.ratio:
            return "not measured (too noisy)"
        return "met" if self.ratio <= self.goal else "missed"

    def row(self) -> str:
        """One line of a Markdown table."""
        low, high = self.interval
        ours, peers = statistics.median(self.ours), statistics.median(self.peers)
        return (
            f"| {self.name} | {ours:.3f} s | {peers:.3f} s | {self.ratio:.3f} ({low:.3f} to {high:.3f}) "
            f"| ≤ {self.goal:g} | {self.verdict} |"
        )

    def _ratios(self) -> list[float]:
        return [one / other for one, other in zip(self.ours, self.peers, strict=True)]


def compare(
    name: str, goal: float, ours: Callable[[], float], peers: Callable[[], float], pairs: int = 7
) -> Comparison:
    """Run both in turns, in random order within a pair; each returns its seconds. The first pair warms up and is dropped."""
    rng, seconds = random.Random(0), []
    for _ in range(pairs + 1):
        if rng.random() < 0.5:
            first = ours()
            seconds.append((first, peers()))
        else:
            first = peers()
            seconds.append((ours(), first))
    kept = seconds[1:]
    return Comparison(name=name, goal=goal, ours=[one for one, _ in kept], peers=[other for _, other in kept])


def timed(call: Callable[[], object]) -> Callable[[], float]:
    """A call that returns the seconds it took."""

    def seconds() -> float:
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    return seconds


def heading() -> str:
    """Machine, date and load, then the table's head."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{date.today()}, {_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, "
        f"load before the run {os.getloadavg()[0]:.2f}\n\n"
        "| what | ours | peer | ratio (95 %) | goal | verdict |\n|---|---|---|---|---|---|"
    )


def _processor() -> str:
    with open("/proc/cpuinfo") as known:
        return next((line.split(":")[1].strip() for line in known if line.startswith("model name")), platform.machine())
