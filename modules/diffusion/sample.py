"""Latents in, latents out: a sampler run over its noise levels."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from modules.core.errors import NotFinite
from modules.core.extension_points import Denoise, OnStep, Sampler
from modules.diffusion.levels import LevelOptions, image_levels, schedule_for, schedule_label, sigmas_for
from modules.diffusion.masking import Blend, MaskedAfter, MaskedBefore, SoftMask

__all__ = [
    "LevelOptions",
    "SamplingPlan",
    "SoftMask",
    "image_levels",
    "image_to_image",
    "masked",
    "schedule_for",
    "schedule_label",
    "sigmas_for",
    "text_to_image",
]


class NoiseSource(Protocol):
    """What `noise.Noise` is to a sampler."""

    def __call__(self) -> Tensor: ...

    def brownian(self, sigmas: Sequence[float], /) -> Callable[[float, float], Tensor]: ...


@dataclass(frozen=True, kw_only=True)
class SamplingPlan:
    """Everything that decides about the latents of one batch.

    `sigmas`: falling, n + 1 of them for n steps. `noise`: answers (b, c, h, w) unit noise, float32, on the device to
    work on; first the starting noise, then what the sampler draws. `options`: values for the names in a sampler's
    options ("eta", "s_churn", …, "table"); None, and an `s_tmax` of 0, leave it to the sampler. `sgm_noise`: the
    starting noise is scaled by √(1 + sigma²) instead of sigma. `blend`: see `masked`.
    """

    denoise: Denoise
    sampler: Sampler
    sigmas: Sequence[float]
    noise: NoiseSource
    on_step: OnStep
    options: Mapping[str, Any] = field(default_factory=dict)
    sgm_noise: bool = False
    blend: Blend | None = None

    @property
    def variance_preserving(self) -> bool:
        """Whether the sampler is of that kind; see `Sampler.levels`."""
        return self.sampler.levels is not None


def masked(plan: SamplingPlan, original: Tensor, mask: Tensor, soft: SoftMask | None = None) -> SamplingPlan:
    """The plan, painting only where `mask` (b, 1, h, w) is 1; elsewhere the latents stay `original` (b, c, h, w)."""
    return replace(plan, blend=Blend(original=original, mask=mask, soft=soft))


@torch.inference_mode()
def text_to_image(plan: SamplingPlan) -> Tensor:
    """From pure noise to latents (b, c, h, w), float32, at unit scale.

    Raises NotFinite when the network answered NaN or infinity, and whatever `on_step` raises.
    """
    first, noise = plan.sigmas[0], plan.noise()
    scale = math.sqrt(1 + first**2) if plan.variance_preserving or plan.sgm_noise else first
    return _sampled(plan, noise * scale, noise, first)


@torch.inference_mode()
def image_to_image(
    plan: SamplingPlan, latents: Tensor, *, noise_multiplier: float = 1.0, extra_noise: float = 0.0
) -> Tensor:
    """From latents (b, c, h, w) with noise at the plan's first level to others; see `levels.image_levels` and `text_to_image`.

    noise_multiplier: strength of that noise. extra_noise: more of the same noise, at unit scale.
    """
    if len(plan.sigmas) < 2:
        return latents if plan.blend is None else plan.blend(latents, 0.0)
    first, noise = plan.sigmas[0], plan.noise() * noise_multiplier
    table = plan.options.get("table", (first,))
    return _sampled(plan, latents + noise * (first + extra_noise), noise, max(first, table[-1]))


def _sampled(plan: SamplingPlan, x: Tensor, noise: Tensor, highest: float) -> Tensor:
    """The end of either way. `highest`: where the schedule begins of which the plan's levels may be a part."""
    denoise, last = plan.denoise, plan.sigmas[-1]
    if plan.blend is not None:
        early = plan.variance_preserving
        denoise = MaskedBefore(denoise, plan.blend, noise) if early else MaskedAfter(denoise, plan.blend)
    x = plan.sampler.sample(denoise, x, plan.sigmas, plan.on_step, **_options(plan, highest))
    if plan.variance_preserving and last > 0:
        x = x / math.sqrt(1 + last**2)
    if plan.blend is not None:
        x = plan.blend(x, 0.0)
    if not torch.isfinite(x).all():  # asked once, at the end: asking at each step would make the host wait for it
        raise NotFinite("The model answered with numbers that are not finite; try --no-half or another model.")
    return x


def _options(plan: SamplingPlan, highest: float) -> dict[str, Any]:
    """The keyword arguments the plan's sampler takes."""
    wanted = plan.sampler.options
    known = {name: value for name, value in plan.options.items() if name in wanted and value is not None}
    if known.get("s_tmax") == 0:
        del known["s_tmax"]
    if "noise" in wanted:
        known["noise"] = plan.noise
    if "brownian" in wanted:
        known["brownian"] = plan.noise.brownian([highest, *plan.sigmas])
    return known
