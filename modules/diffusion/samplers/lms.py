"""Linear multistep method of order 4 for uneven steps: Adams and Bashforth 1883, as k-diffusion applies it to sigma."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl

ORDER = 4
GAUSS = 3**-0.5  # two points are exact for the cubic polynomials of order 4


def lms(denoise: Denoise, x: Tensor, sigmas: Sequence[float], on_step: OnStep) -> Tensor:
    slopes: list[Tensor] = []  # latest first
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        slopes = [(x - denoised) / sigma, *slopes[: ORDER - 1]]
        known = [sigmas[step - back] for back in range(len(slopes))]
        for slope, weight in zip(slopes, adams_weights(known, sigma_next), strict=True):
            x = x + weight * slope
        on_step(step, x, denoised)
    return x


def adams_weights(known: Sequence[float], to: float) -> list[float]:
    """Weights of the slopes at the `known` places, latest first, for a step from the first of them to `to`."""
    half, middle = (to - known[0]) / 2, (to + known[0]) / 2
    places = (middle - GAUSS * half, middle + GAUSS * half)
    return [half * sum(_lagrange(known, index, place) for place in places) for index in range(len(known))]


def _lagrange(known: Sequence[float], index: int, place: float) -> float:
    """The polynomial that is 1 at one of the known places and 0 at the others."""
    value = 1.0
    for other, position in enumerate(known):
        if other != index:
            value *= (place - position) / (known[index] - position)
    return value


@hookimpl
def register_samplers() -> list[Sampler]:
    return [Sampler(name="LMS", sample=lms, aliases=("k_lms",))]
