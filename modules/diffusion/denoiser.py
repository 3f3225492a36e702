"""A network seen as D(x, sigma), the estimate of the clean latents: Karras et al. 2022, arXiv:2206.00364, Table 1 (VP).

Latents x are in variance-exploding form, clean + sigma * unit noise. A `table` is the model's training noise levels:
ascending sigmas, one per training timestep.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import Protocol

import torch
from torch import Tensor

from modules.core.errors import UnknownName

STAND_IN_FOR_ZERO = 4.8973451890853435e-08  # ᾱ of the last level of zero terminal SNR; 0 would be an infinite sigma


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a network gets beside latents and time. `text`: (b, t, d). `vector`: (b, v), SDXL's. `concat`: (b, c', h, w)."""

    text: Tensor
    vector: Tensor | None = None
    concat: Tensor | None = None


class Network(Protocol):
    """What a U-Net is here: scaled x (b, c, h, w), timesteps (b,), text, vector, concat as in `Inputs` -> (b, c, h, w)."""

    def __call__(
        self, x: Tensor, timestep: Tensor, text: Tensor, vector: Tensor | None, concat: Tensor | None, /
    ) -> Tensor: ...


class Denoiser(Protocol):
    """x (b, c, h, w) float32, one sigma for all of them and inputs -> estimate of the clean latents, float32."""

    def __call__(self, x: Tensor, sigma: float, inputs: Inputs, /) -> Tensor: ...


def sigma_table(beta_start: float = 0.00085, beta_end: float = 0.012, steps: int = 1000) -> tuple[float, ...]:
    """The noise levels of "scaled linear" training, ascending: sigma² = (1 - ᾱ) / ᾱ.

    The square roots of the betas are evenly spaced; the defaults are Stable Diffusion's (Rombach et al. 2022).
    ᾱ is rounded to float32, as checkpoints carry it: that moves the lowest level by 1e-5 of itself, and everybody's
    pictures are made with the rounded one.
    """
    first, last = math.sqrt(beta_start), math.sqrt(beta_end)
    betas = [(first + (last - first) * i / (steps - 1)) ** 2 for i in range(steps)]
    alpha_bars = torch.tensor(list(accumulate((1 - beta for beta in betas), mul)), dtype=torch.float32).tolist()
    return tuple(math.sqrt((1 - alpha_bar) / alpha_bar) for alpha_bar in alpha_bars)


def zero_terminal_snr(table: Sequence[float]) -> tuple[float, ...]:
    """The table rescaled so that its last level is pure noise: Lin et al. 2023, arXiv:2305.08891, Algorithm 1.

    √ᾱ is shifted to end at 0 and stretched to begin where it began. The last ᾱ is then set to a tiny number, the one
    everybody's programs use, so that its sigma is 4519 and not infinite.
    """
    roots = [1 / math.sqrt(1 + sigma**2) for sigma in table]
    first, last = roots[0], roots[-1]
    alpha_bars = [((root - last) * first / (first - last)) ** 2 for root in roots]
    alpha_bars[-1] = STAND_IN_FOR_ZERO
    return tuple(math.sqrt((1 - alpha_bar) / alpha_bar) for alpha_bar in alpha_bars)


def sigma_at(timestep: float, table: Sequence[float]) -> float:
    """The noise level at a timestep that may lie between two of the table: linear in log sigma. Beyond an end it is the end."""
    timestep = min(max(timestep, 0.0), len(table) - 1.0)
    low = math.floor(timestep)
    part = timestep - low
    if part == 0.0:
        return table[low]
    return table[low] * (table[low + 1] / table[low]) ** part


def timestep_at(sigma: float, table: Sequence[float]) -> float:
    """The inverse of `sigma_at`. Beyond the table's ends it is the end."""
    if sigma <= table[0]:
        return 0.0
    if sigma >= table[-1]:
        return len(table) - 1.0
    low = bisect_right(table, sigma) - 1
    part = math.log(sigma / table[low]) / math.log(table[low + 1] / table[low])
    return low + part


class EpsilonDenoiser:
    """D(x, sigma) of a network that was trained to predict the noise: x - sigma * eps(x / √(sigma² + 1), t(sigma)).

    `table`: see the module. `dtype`: what the network computes in; everything outside it stays float32.
    """

    def __init__(self, network: Network, table: Sequence[float], dtype: torch.dtype = torch.float32) -> None:
        self.network, self.table, self.dtype = network, table, dtype

    def __call__(self, x: Tensor, sigma: float, inputs: Inputs, /) -> Tensor:
        return x - sigma * self._answer(x, sigma, inputs)

    def _answer(self, x: Tensor, sigma: float, inputs: Inputs) -> Tensor:
        """What the network says, float32."""
        # torch.full fills on the device; torch.tensor would copy from the host and may wait for the device.
        timestep = torch.full((x.shape[0],), timestep_at(sigma, self.table), device=x.device)
        scaled = (x / math.sqrt(sigma**2 + 1)).to(self.dtype)
        return self.network(scaled, timestep, inputs.text, inputs.vector, inputs.concat).float()


class VelocityDenoiser(EpsilonDenoiser):
    """D(x, sigma) of a network that predicts v = √ᾱ eps - √(1 - ᾱ) clean: Salimans and Ho 2022, arXiv:2202.00512, App. D."""

    def __call__(self, x: Tensor, sigma: float, inputs: Inputs, /) -> Tensor:
        return x / (sigma**2 + 1) - sigma / math.sqrt(sigma**2 + 1) * self._answer(x, sigma, inputs)


DENOISERS = {"epsilon": EpsilonDenoiser, "v_prediction": VelocityDenoiser}


def denoiser_for(
    prediction: str, network: Network, table: Sequence[float], dtype: torch.dtype = torch.float32
) -> Denoiser:
    """The denoiser of a network by what it predicts, in diffusers' words. Raises UnknownName."""
    if prediction not in DENOISERS:
        raise UnknownName("kind of prediction", prediction, ", ".join(DENOISERS))
    return DENOISERS[prediction](network, table, dtype)
