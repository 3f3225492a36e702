"""Quantiles of the Beta distribution, from its continued fraction: Abramowitz and Stegun 1964, 26.5.8."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TINY = 1e-300
ENOUGH = 1e-12
BISECTIONS = 60
MOST_TERMS = 400

Numbers = NDArray[np.float64]


def beta_quantiles(probabilities: Sequence[float], alpha: float, beta: float) -> list[float]:
    """x with I_x(alpha, beta) = probability for each of them, all between 0 and 1; to 18 digits after the point."""
    wanted = np.array(probabilities)
    low, high = np.zeros_like(wanted), np.ones_like(wanted)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        below = beta_cumulative(middle, alpha, beta) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    found = (low + high) / 2
    found[wanted <= 0], found[wanted >= 1] = 0.0, 1.0
    return found.tolist()


def beta_cumulative(x: Numbers, alpha: float, beta: float) -> Numbers:
    """I_x(alpha, beta), the part of a Beta distribution below x."""
    edge = (alpha + 1) / (alpha + beta + 2)  # the fraction converges fast below; above, its mirror image does
    direct = _lower(np.clip(x, TINY, edge), alpha, beta)
    mirrored = 1 - _lower(np.clip(1 - x, TINY, 1 - edge), beta, alpha)
    return np.where(x <= edge, direct, mirrored)


def _lower(x: Numbers, alpha: float, beta: float) -> Numbers:
    logs = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
    return np.exp(logs + alpha * np.log(x) + beta * np.log1p(-x)) / alpha / _fraction(x, alpha, beta)


def _fraction(x: Numbers, alpha: float, beta: float) -> Numbers:
    """1 + d1/(1 + d2/(1 + …)) by Lentz's method."""
    value, c, d = np.ones_like(x), np.ones_like(x), np.zeros_like(x)
    for m in range(1, MOST_TERMS):
        half = m // 2
        if m % 2:
            term = -(alpha + half) * (alpha + beta + half) / ((alpha + 2 * half) * (alpha + 2 * half + 1)) * x
        else:
            term = half * (beta - half) / ((alpha + m - 1) * (alpha + m)) * x
        d, c = 1 / _not_zero(1 + term * d), _not_zero(1 + term / c)
        value = value * c * d
        if np.abs(c * d - 1).max() < ENOUGH:
            break
    return value


def _not_zero(x: Numbers) -> Numbers:
    return np.where(x == 0, TINY, x)
