"""The measuring itself: medians, intervals, and that noise is not sold as a result."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

from comparing import Comparison, compare, timed


def comparison(ours, peers, goal=1.0):
    return Comparison(name="x", goal=goal, ours=ours, peers=peers)


def test_the_ratio_is_the_median_of_pairs_so_that_a_slow_minute_counts_once():
    slow_minute = comparison([1.0, 1.0, 50.0, 1.0, 1.0], [1.0, 1.0, 10.0, 1.0, 1.0])
    assert slow_minute.ratio == 1.0
    assert slow_minute.interval == (1.0, 5.0)


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [([1.0] * 7, "met"), ([1.02] * 7, "missed"), ([0.8, 1.2, 0.7, 1.3, 0.9, 1.1, 1.0], "not measured (too noisy)")],
)
def test_the_verdict(ours, verdict):
    assert comparison(ours, [1.0] * 7, goal=1.01).verdict == verdict


def test_both_sides_run_in_turns_and_the_first_pair_is_dropped():
    calls = []

    def side(name):
        def seconds():
            calls.append(name)
            return float(len(calls))

        return seconds

    result = compare("x", 1.0, side("ours"), side("peer"), pairs=5)
    assert len(result.ours) == len(result.peers) == 5
    assert calls.count("ours") == calls.count("peer") == 6
    assert all({calls[i], calls[i + 1]} == {"ours", "peer"} for i in range(0, 12, 2))
    assert result.row().count("|") == 7


def test_a_call_is_timed():
    assert timed(lambda: None)() >= 0
