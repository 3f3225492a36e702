"""UniPC: predictor and corrector of any order on the data prediction: Zhao et al. 2023, arXiv:2302.04867, Algs. 5 to 8, B1(h) = h.

In variance-exploding form the data prediction's exponent is -h, h = log(sigma / sigma').
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl
from modules.diffusion.schedules.ddim import ddim_timesteps


def unipc(denoise: Denoise, x: Tensor, sigmas: Sequence[float], on_step: OnStep, *, unipc_order: int = 3) -> Tensor:
    """Each estimate first corrects the step that led to it, then predicts the next; that costs no further call."""
    steps = len(sigmas) - 1
    estimates: list[Tensor] = []  # latest first, of the levels before the present one
    x_before, order = x, 0
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        if estimates:
            x = _stepped(x_before, estimates, sigmas[: step + 1], order, denoised)
        estimates = [denoised, *estimates[: unipc_order - 1]]
        order = min(unipc_order, step + 1, steps - step)
        x_before = x
        x = _stepped(x, estimates, sigmas[: step + 2], order) if sigma_next > 0 else denoised
        on_step(step, x, denoised)
    return x


def _stepped(
    x: Tensor, estimates: Sequence[Tensor], levels: Sequence[float], order: int, arrived: Tensor | None = None
) -> Tensor:
    """From the last level but one to the last. `arrived`: the estimate there, which makes it the corrector."""
    sigma, sigma_next = levels[-2:]
    h = math.log(sigma / sigma_next)
    places = [math.log(sigma / levels[-2 - back]) / h for back in range(1, order)]  # of earlier estimates, below 0
    changes = [(one - estimates[0]) / place for one, place in zip(estimates[1:order], places, strict=True)]
    if arrived is not None:
        places, changes = [*places, 1.0], [*changes, arrived - estimates[0]]
    x = sigma_next / sigma * x - math.expm1(-h) * estimates[0]
    for weight, change in zip(_weights(places, h), changes, strict=True):
        x = x + weight * change
    return x


def _weights(places: Sequence[float], h: float) -> list[float]:
    """Weights of the changes such that polynomials through all estimates are integrated exactly, to leading order in h.

    For one place the paper takes 1/2 in place of the solution; the order stays the same.
    """
    if not places:
        return []
    if len(places) == 1:
        return [h / 2]
    wanted, phi, factorial = [], math.expm1(-h) / -h - 1, 1
    for power in range(1, len(places) + 1):
        wanted.append(phi * factorial / -h)
        factorial *= power + 1
        phi = phi / -h - 1 / factorial
    rows = torch.tensor([[place**power for place in places] for power in range(len(places))], dtype=torch.float64)
    return (h * torch.linalg.solve(rows, torch.tensor(wanted, dtype=torch.float64))).tolist()


def unipc_levels(steps: int, table: Sequence[float], last: int | None = None) -> list[float]:
    """Evenly spaced timesteps down to the lowest, as many as DDIM has; with `last` from where DDIM would begin."""
    timesteps = ddim_timesteps(steps, table)
    n = len(timesteps) if last is None else min(last, len(timesteps))
    first = len(table) - 1 if last is None else timesteps[n - 1]
    return [_level(first * (1 - i / n), table) for i in range(n + 1)]


def _level(timestep: float, table: Sequence[float]) -> float:
    """The level between two training timesteps, linear in the logarithm of the signal's strength, as the paper has it."""
    low = min(int(timestep), len(table) - 2)
    here, there = (math.log1p(table[low + i] ** 2) for i in (0, 1))
    return math.sqrt(math.expm1(here + (timestep - low) * (there - here)))


@hookimpl
def register_samplers() -> list[Sampler]:
    return [Sampler(name="UniPC", sample=unipc, schedule="DDIM", options=("unipc_order",), levels=unipc_levels)]
