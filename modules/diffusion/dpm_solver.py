"""Single steps of order 1 to 3 in lambda = -log sigma on the noise prediction: Lu et al. 2022, arXiv:2206.00927, Algorithms 1, 2.

In variance-exploding form alpha is 1, so x(t) = x(s) - ∫ sigma eps dlambda.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from modules.core.extension_points import Denoise
from modules.diffusion.ancestral import split_step


def sigma_of(lam: float) -> float:
    """The level at a lambda."""
    return math.exp(-lam)


@dataclass
class Start:
    """The latents x at lambda `at`, and slopes found on the way from there; `denoised` is the estimate at x itself."""

    denoise: Denoise
    x: Tensor
    at: float
    slopes: dict[float, Tensor] = field(default_factory=dict)
    denoised: Tensor | None = None
    calls: int = 0

    @property
    def eps(self) -> Tensor:
        """The noise at the start."""
        if self.at not in self.slopes:
            sigma = sigma_of(self.at)
            denoised = self.denoised = self.denoise(self.x, sigma)
            self.slopes[self.at] = (self.x - denoised) / sigma
            self.calls += 1
        return self.slopes[self.at]

    def eps_at(self, place: float, x: Callable[[], Tensor]) -> Tensor:
        """The noise at a lambda in between, of the latents that x() gives; each place is asked once."""
        if place not in self.slopes:
            sigma, between = sigma_of(place), x()
            self.slopes[place] = (between - self.denoise(between, sigma)) / sigma
            self.calls += 1
        return self.slopes[place]

    def first(self, to: float) -> Tensor:
        """A step of order 1."""
        return self.x - sigma_of(to) * math.expm1(to - self.at) * self.eps

    def second(self, to: float, r1: float = 1 / 2) -> Tensor:
        """A step of order 2 that looks at the part r1 of the way."""
        ahead = self.at + r1 * (to - self.at)
        change = self.eps_at(ahead, lambda: self.first(ahead)) - self.eps
        return self.first(to) - sigma_of(to) * math.expm1(to - self.at) / (2 * r1) * change

    def third(self, to: float, r1: float = 1 / 3, r2: float = 2 / 3) -> Tensor:
        """A step of order 3 that looks at the parts r1 and r2 of the way."""
        h = to - self.at
        near, far = self.at + r1 * h, self.at + r2 * h

        def farther() -> Tensor:
            change = self.eps_at(near, lambda: self.first(near)) - self.eps
            return self.first(far) - sigma_of(far) * (r2 / r1) * _bend(r2 * h) * change

        change = self.eps_at(far, farther) - self.eps
        return self.first(to) - sigma_of(to) / r2 * _bend(h) * change


def _bend(h: float) -> float:
    return math.expm1(h) / h - 1


def noisy_target(start: float, to: float, end: float, eta: float) -> tuple[float, float]:
    """(lambda to step down to, strength of the fresh noise): an ancestral step from `start` to `to` that stays within `end`."""
    if eta == 0:
        return to, 0.0
    down, _ = split_step(sigma_of(start), sigma_of(to), eta)
    target = min(end, -math.log(down)) if down > 0 else end
    return target, math.sqrt(max(0.0, sigma_of(to) ** 2 - sigma_of(target) ** 2))


def ends_of(sigmas: Sequence[float], table: Sequence[float]) -> tuple[float, float]:
    """(lambda of the first level, lambda of the model's lowest): what is left of the noise there cannot be seen.

    The schedule's last level above 0 would not do: SGM Uniform's is 0.6.
    """
    return -math.log(sigmas[0]), -math.log(min(table[0], sigmas[0] / 2))
