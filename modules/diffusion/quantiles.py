"""Quantiles of the Beta distribution, from its continued fraction: Abramowitz and Stegun 1964, 26.5.8."""

import math
from functools import lru_cache

TINY = 1e-300
ENOUGH = 1e-12
FINE = 1e-14  # of the quantile


@lru_cache(maxsize=1024)
def beta_quantile(probability: float, alpha: float, beta: float) -> float:
    """x with I_x(alpha, beta) = probability, all between 0 and 1."""
    if probability in (0.0, 1.0):
        return probability
    low, high = 0.0, 1.0
    while high - low > FINE * high + TINY:
        middle = (low + high) / 2
        if beta_cumulative(middle, alpha, beta) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def beta_cumulative(x: float, alpha: float, beta: float) -> float:
    """I_x(alpha, beta), the part of a Beta distribution below x."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (alpha + 1) / (alpha + beta + 2):  # the fraction converges fast below this
        return 1 - beta_cumulative(1 - x, beta, alpha)
    logs = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
    front = math.exp(logs + alpha * math.log(x) + beta * math.log1p(-x)) / alpha
    return front / _fraction(x, alpha, beta)


def _fraction(x: float, alpha: float, beta: float) -> float:
    """1 + d1/(1 + d2/(1 + …)) by Lentz's method."""
    value, c, d = 1.0, 1.0, 0.0
    for m in range(1, 400):
        half = m // 2
        if m % 2:
            term = -(alpha + half) * (alpha + beta + half) * x / ((alpha + 2 * half) * (alpha + 2 * half + 1))
        else:
            term = half * (beta - half) * x / ((alpha + m - 1) * (alpha + m))
        d = 1 / (1 + term * d or TINY)
        c = 1 + term / c or TINY
        value *= c * d
        if abs(c * d - 1) < ENOUGH:
            break
    return value
