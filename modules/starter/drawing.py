"""Pictures from the starter model, many at a time, with the very sampler that the page uses."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from modules.diffusion.denoiser import EpsilonDenoiser
from modules.diffusion.guidance.cfg import register_guidance
from modules.diffusion.guided import Conditions, Guided, Rules, Text, Timeline, Weighted
from modules.diffusion.noise import Noise
from modules.diffusion.sample import SamplingPlan, text_to_image
from modules.diffusion.samplers.dpmpp_2m import register_samplers
from modules.diffusion.schedules.karras import karras
from modules.families.built import Built
from modules.prompts.chunks import chunks
from modules.prompts.tokens import Tokenizer
from modules.starter.autoencoder import to_bytes
from modules.starter.pictures import Bytes


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How pictures are sampled. size: pixels per side."""

    size: int = 128
    steps: int = 20
    scale: float = 5.0
    batch: int = 25


@torch.inference_mode()
def generate(model: Built, prompts: Sequence[str], seeds: Sequence[int], recipe: Recipe) -> Bytes:
    """One picture for each prompt, (n, size, size, 3): DPM++ 2M, Karras. Brackets weigh, as on the page."""
    parts: list[Bytes] = []
    for first in range(0, len(prompts), recipe.batch):
        here = slice(first, first + recipe.batch)
        parts.append(_batch(model, prompts[here], seeds[here], recipe))
    return np.concatenate(parts)


def _batch(model: Built, prompts: Sequence[str], seeds: Sequence[int], recipe: Recipe) -> Bytes:
    tokenizer = _tokenizer(model.tokenizer_folder)
    encoded = model.encode([chunks(prompt, tokenizer) for prompt in (*prompts, "")])
    *timelines, negative = [_always(one.states, recipe) for one in encoded]
    conditions = Conditions(positive=[(Weighted(one),) for one in timelines], negative=[negative] * len(prompts))
    rules = Rules(guidance=register_guidance()[0], scale=recipe.scale)
    denoiser = EpsilonDenoiser(model.predict, model.sigmas, model.dtype)
    plan = SamplingPlan(
        denoise=Guided(denoiser, conditions, rules, recipe.steps),
        sampler=register_samplers()[0],
        sigmas=karras(recipe.steps, model.sigmas),
        noise=Noise(seeds, model.latent_shape(recipe.size, recipe.size)),
        on_step=lambda step, x, denoised: None,
    )
    return to_bytes(model.decode(text_to_image(plan)))


@cache
def _tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer(folder)


def _always(states: torch.Tensor, recipe: Recipe) -> Timeline:
    """A text (t, d) that holds in all steps."""
    return ((recipe.steps, Text(states)),)


def sheet(rows: Sequence[Bytes], enlarge: int = 1) -> Image.Image:
    """Rows of pictures of one size, on white, with a thin gap."""
    side, gap = rows[0].shape[1] * enlarge, 4
    columns = max(len(row) for row in rows)
    page = Image.new("RGB", (columns * (side + gap) - gap, len(rows) * (side + gap) - gap), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            tile = Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS)
            page.paste(tile, (x * (side + gap), y * (side + gap)))
    return page
