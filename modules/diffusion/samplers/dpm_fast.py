"""DPM-Solver-fast: third-order steps of equal length in log sigma, as many as n calls allow: arXiv:2206.00927, §3.4, D.2.

With eta each of them is an ancestral step. `sigmas` gives beginning and n only; it ends at the model's lowest level.
"""

from collections.abc import Callable, Sequence

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep, Sampler, hookimpl
from modules.diffusion.ancestral import ANCESTRAL
from modules.diffusion.dpm_solver import Start, ends_of, noisy_target


def dpm_fast(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    on_step: OnStep,
    *,
    noise: Callable[[], Tensor],
    table: Sequence[float],
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    n = len(sigmas) - 1
    begin, end = ends_of(sigmas, table)
    orders, calls = orders_for(n), 0
    for index, order in enumerate(orders):
        at, to = (begin + (end - begin) * place / len(orders) for place in (index, index + 1))
        target, up = noisy_target(at, to, end, eta)
        start = Start(denoise, x, at)
        x = (start.first, start.second, start.third)[order - 1](target)
        calls += start.calls
        x = x + noise() * (s_noise * up)
        on_step(min(calls, n) - 1, x, start.denoised)
    return x


def orders_for(calls: int) -> list[int]:
    """Orders of the steps that make this many calls together."""
    third, rest = divmod(calls, 3)
    return [3] * (third - 1) + [2, 1] if rest == 0 else [3] * third + [rest]


@hookimpl
def register_samplers() -> list[Sampler]:
    return [
        Sampler(name="DPM fast", sample=dpm_fast, aliases=("k_dpm_fast",), options=(*ANCESTRAL, "table"), ensd=True)
    ]
