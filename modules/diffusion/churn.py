"""Noise put back before a step, so that the sampler can mend earlier mistakes: Karras et al. 2022, arXiv:2206.00364, Alg. 2."""

import math
from collections.abc import Callable

from torch import Tensor

MOST = math.sqrt(2) - 1  # of the level

CHURN = ("s_churn", "s_tmin", "s_tmax", "s_noise")  # options of samplers that take a Churn


class Churn:
    """Raises latents from their level to a higher one. The arguments are Karras' S_churn, S_tmin, S_tmax and S_noise."""

    def __init__(
        self,
        noise: Callable[[], Tensor],
        steps: int,
        *,
        s_churn: float = 0.0,
        s_tmin: float = 0.0,
        s_tmax: float = math.inf,
        s_noise: float = 1.0,
    ) -> None:
        self._noise, self._strength = noise, s_noise
        self._rate = min(s_churn / steps, MOST)
        self._from, self._to = s_tmin, s_tmax

    def __call__(self, x: Tensor, sigma: float) -> tuple[Tensor, float]:
        """(latents, level) after noise was added. Draws also where nothing is added: later draws must not depend on that."""
        if self._rate <= 0:
            return x, sigma
        noise = self._noise()
        if not self._from <= sigma <= self._to:
            return x, sigma
        raised = sigma * (1 + self._rate)
        return x + noise * (self._strength * math.sqrt(raised**2 - sigma**2)), raised
