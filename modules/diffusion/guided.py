"""A denoiser with texts and guidance put in, which is what samplers call: Ho and Salimans 2022, arXiv:2207.12598.

Several weighted texts for one picture are composed as Liu et al. 2022, arXiv:2206.01714, eq. 11, do; a model that edits a
picture by instruction is guided by text and by picture: Brooks et al. 2022, arXiv:2211.09800, eq. 3.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from modules.core.extension_points import Denoise, Guidance
from modules.diffusion.denoiser import Denoiser
from modules.diffusion.rows import Now, Passes, Text, passes_for

MOST_BATCHES = 8  # kept: alternating texts come back after a few calls

Timeline = tuple[tuple[int, Text], ...]


@dataclass(frozen=True, eq=False)
class Weighted:
    """One of the texts, joined by AND, that a picture is made of."""

    timeline: Timeline
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions:
    """What each of b pictures is to be.

    A timeline is ((end_at, text), …), ascending: a text holds while no more than `end_at` calls have been made before
    this one, the last holds for ever. `negative`: None is a picture without one; then there is no guidance for the
    whole batch. `concat`: (b, c', h, w), goes to the network beside the latents (mask and picture of inpainting models).
    `image`: (b, 4, h, w), the picture to edit, for models that follow instructions.
    """

    positive: Sequence[tuple[Weighted, ...]]
    negative: Sequence[Timeline | None]
    concat: Tensor | None = None
    image: Tensor | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Rules:
    """How the estimates are combined; the fields are those of a request.

    `pad`: the text that makes the shorter of prompt and negative prompt as long as the other; None runs them one after
    the other. `split`: run them one after the other in any case, which needs half the memory.
    """

    guidance: Guidance
    scale: float
    image_scale: float = 1.5
    guidance_rescale: float = 0.7
    threshold_percentile: float = 0.995
    cfg_start: float = 0.0
    cfg_end: float = 1.0
    skip_early: float = 0.0
    s_min_uncond: float = 0.0
    ngms_all_steps: bool = False
    pad: Text | None = None
    split: bool = False


def held(timeline: Timeline, call: int) -> Text:
    """The text of a timeline when `call` calls have been made before."""
    return next((text for end_at, text in timeline if call <= end_at), timeline[-1][1])


def apart(denoise: Denoise, x: Tensor, sigma: float, part: float) -> tuple[Tensor, Tensor]:
    """(estimate guided with `part` of the scale, estimate without the text) of a `Denoise`; both the same if it has no guidance."""
    both = getattr(denoise, "apart", None)
    if both is None:
        denoised = denoise(x, sigma)
        return denoised, denoised
    return both(x, sigma, part)


class Guided:
    """A `Denoise`: D(x, sigma) with texts, weights and guidance, all that can go together in one pass of the network.

    `calls`: how many will be made; parts of the steps (`cfg_start` …) are parts of these. `calls_done`: how many
    another model has made already. It never asks the device for a value.
    """

    def __init__(
        self, denoiser: Denoiser, conditions: Conditions, rules: Rules, calls: int, calls_done: int = 0
    ) -> None:
        self._denoiser, self._conditions, self._rules = denoiser, conditions, rules
        self._calls, self._made = max(1, calls), calls_done
        self._weights = [[part.weight for part in parts] for parts in conditions.positive]
        self._composed = any(weights != [1.0] for weights in self._weights)
        self._has_negative = all(timeline is not None for timeline in conditions.negative) and bool(conditions.negative)
        self._batches: OrderedDict[tuple[int, ...], Passes] = OrderedDict()

    def __call__(self, x: Tensor, sigma: float, /) -> Tensor:
        scale = self._rules.scale
        return self._estimate(x, sigma, scale, self._wants_negative(sigma, scale))[0]

    def apart(self, x: Tensor, sigma: float, part: float, /) -> tuple[Tensor, Tensor]:
        """See `apart` of this module."""
        return self._estimate(x, sigma, self._rules.scale * part, self._has_negative)

    def _wants_negative(self, sigma: float, scale: float) -> bool:
        """Whether this call needs the negative prompt."""
        rules, made, editing = self._rules, self._made, self._conditions.image is not None
        if not self._has_negative:
            return False
        if scale == 1.0 and not self._composed and not (editing and rules.image_scale != 1.0):
            return False
        part = made / self._calls
        if part < rules.cfg_start or (rules.cfg_end < 1 and part >= rules.cfg_end):
            return False
        if rules.skip_early > 0 and part <= rules.skip_early:
            return False
        small = sigma < rules.s_min_uncond and not editing
        return not (small and (rules.ngms_all_steps or made % 2 == 1))

    def _estimate(self, x: Tensor, sigma: float, scale: float, with_negative: bool) -> tuple[Tensor, Tensor]:
        """(guided estimate, the one without the text) of this call, which is counted."""
        passes = self._passes(with_negative, x)
        self._made += 1
        rows = passes.gathered([self._denoiser(run.latents(x), sigma, run.inputs) for run in passes.runs])
        pictures, texts = x.shape[0], sum(map(len, self._weights))
        cond, rest = rows[:texts], rows[texts:]
        if not with_negative and not self._composed:
            return cond, cond
        uncond = rest[:pictures] if with_negative else cond[self._first_texts()]
        guided = self._combined(self._joined(cond, uncond), uncond, scale, x, sigma)
        if len(rest) > pictures:  # the third estimate: neither text nor picture
            bare = rest[pictures:]
            guided = guided + (self._rules.image_scale - 1) * (uncond - bare)
        return guided, uncond

    def _combined(self, cond: Tensor, uncond: Tensor, scale: float, x: Tensor, sigma: float) -> Tensor:
        if scale == 1.0:
            return cond
        rules = self._rules
        known: dict[str, Any] = {
            "x": x,
            "sigma": sigma,
            "guidance_rescale": rules.guidance_rescale,
            "threshold_percentile": rules.threshold_percentile,
        }
        options = {name: known[name] for name in rules.guidance.options}
        return rules.guidance.combine(cond, uncond, scale, **options)

    def _joined(self, cond: Tensor, uncond: Tensor) -> Tensor:
        """The texts of each picture as one: uncond + Σ weight (cond_i - uncond)."""
        if not self._composed:
            return cond
        joined, first = [], 0
        for weights, base in zip(self._weights, uncond, strict=True):
            parts = cond[first : first + len(weights)]
            joined.append(base + sum(weight * (part - base) for weight, part in zip(weights, parts, strict=True)))
            first += len(weights)
        return torch.stack(joined)

    def _first_texts(self) -> list[int]:
        """The row of each picture's first text."""
        firsts, row = [], 0
        for weights in self._weights:
            firsts.append(row)
            row += len(weights)
        return firsts

    def _passes(self, with_negative: bool, x: Tensor) -> Passes:
        """The passes of the network for the texts that hold now; built when they were not used lately."""
        now = self._now(with_negative)
        key = now.key
        if key not in self._batches:
            self._batches[key] = passes_for(now, self._rules.pad, self._rules.split, x.device)
            if len(self._batches) > MOST_BATCHES:
                self._batches.popitem(last=False)
        self._batches.move_to_end(key)
        return self._batches[key]

    def _now(self, with_negative: bool) -> Now:
        conditions, made = self._conditions, self._made
        return Now(
            positive=[[held(part.timeline, made) for part in parts] for parts in conditions.positive],
            negative=[held(timeline, made) for timeline in conditions.negative if timeline] if with_negative else [],
            concat=conditions.concat,
            image=conditions.image,
        )
