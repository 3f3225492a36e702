"""What single words do to the starter's pictures: a colour that is weighted more or less, a style, an adjective."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice, product

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from modules.families.built import Built
from modules.families.clip_vision import image_features, text_features
from modules.families.judge import Judge
from modules.starter.autoencoder import to_tensor
from modules.starter.clip import tokens_of
from modules.starter.drawing import Recipe, generate
from modules.starter.pictures import Bytes
from modules.starter.world import Spec, draw, full_caption, is_held_out

log = logging.getLogger(__name__)

SEED = 88_000
WEIGHTS = (0.5, 0.6, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6)
SUBJECTS = ("cat", "dog", "bird", "fish", "robot", "car")
PLACES = ("on the grass", "on the beach", "in the snow", "in space")
COLOURS = ("blue", "green", "yellow", "white", "purple", "black")
_SCENES = product(zip(PLACES * 3, COLOURS * 2, strict=True), SUBJECTS)
_ALL = [Spec(subject=subject, colour=colour, place=place) for (place, colour), subject in _SCENES]
PLAIN = [spec for spec in _ALL if not is_held_out(spec)]
WORDS: dict[str, Mapping[str, str]] = {
    "cute": {"adjective": "cute"},
    "realistic": {"adjective": "realistic"},
    "painting": {"style": "painting"},
    "sketch": {"style": "sketch"},
    "pixel art": {"style": "pixel art"},
    "illustration": {"style": "illustration"},
    "cinematic lighting": {"style": "cinematic lighting"},
}


@dataclass(frozen=True, kw_only=True)
class Effect:
    """How often a word moves pictures its own way, 0 to 1, chance 0.5: of those the model makes, and of drawn ones."""

    made: float
    drawn: float


def emphasis_curve(model: Built, judge: Judge, recipe: Recipe, count: int) -> dict[float, float]:
    """How surely the judge sees red, by the weight of "red" in prompts that name another colour too: a mean of
    `count` prompts, the same seeds at every weight.
    """
    log.info("evaluate: weights of one word")
    red = judge.slots["colour"].index("red")
    seeds = [SEED + n for n in range(count)]
    curve: dict[float, float] = {}
    for weight in WEIGHTS:
        prompts = [weighted(spec, weight, red_first=n % 2 == 0) for n, spec in enumerate(islice(PLAIN, count))]
        pictures = generate(model, prompts, seeds[: len(prompts)], recipe)
        with torch.no_grad():
            curve[weight] = float(judge(to_tensor(pictures))["colour"].softmax(dim=1)[:, red].mean())
    return curve


def weighted(spec: Spec, weight: float, red_first: bool) -> str:
    """A prompt with two colours, of which one is weighted.

    >>> weighted(Spec(subject="cat", colour="blue", place="in space"), 1.4, red_first=False)
    'a blue (red:1.4) cat in space'
    """
    red = f"(red:{weight:g})"
    colours = f"{red} {spec.colour}" if red_first else f"{spec.colour} {red}"
    return f"a {colours} {spec.subject} {spec.place}"


def word_effects(
    model: Built, clip: CLIPModel, tokenizer: CLIPTokenizer, recipe: Recipe, count: int
) -> dict[str, Effect]:
    """For each word, how often CLIP finds a picture with it more like that than the same picture without it.

    "Like that" is the caption with the word minus the caption without.
    """
    log.info("evaluate: words one by one")
    specs = list(islice(PLAIN, count))
    made, drawn = _both(model, specs, recipe)
    found: dict[str, Effect] = {}
    for word, changes in WORDS.items():
        changed = [spec for spec in specs if "adjective" not in changes or spec.subject not in ("robot", "car")]
        with_word = [replace(spec, **changes) for spec in changed]
        there = [n for n, spec in enumerate(specs) if spec in changed]
        made_too, drawn_too = _both(model, with_word, recipe, there)
        wanted = _direction(clip, tokenizer, changed, with_word)
        found[word] = Effect(
            made=_moved(clip, made[there], made_too, wanted), drawn=_moved(clip, drawn[there], drawn_too, wanted)
        )
    return found


def _both(model: Built, specs: list[Spec], recipe: Recipe, numbers: list[int] | None = None) -> tuple[Bytes, Bytes]:
    """Generated and drawn pictures of the descriptions; each has the seed of its number."""
    seeds = [SEED + n for n in (numbers if numbers is not None else range(len(specs)))]
    made = generate(model, [full_caption(spec) for spec in specs], seeds, recipe)
    drawn = [np.asarray(draw(spec, seed, recipe.size)[0]) for spec, seed in zip(specs, seeds, strict=True)]
    return made, np.stack(drawn)


@torch.no_grad()
def _direction(clip: CLIPModel, tokenizer: CLIPTokenizer, before: list[Spec], after: list[Spec]) -> Tensor:
    """What the word means, (n, d)."""
    plain, changed = (
        text_features(clip, tokens_of(tokenizer, [full_caption(spec) for spec in specs])) for specs in (before, after)
    )
    return changed - plain


@torch.no_grad()
def _moved(clip: CLIPModel, before: Bytes, after: Bytes, wanted: Tensor) -> float:
    """How many pictures moved the way that is wanted."""
    step = image_features(clip, to_tensor(after)) - image_features(clip, to_tensor(before))
    return float(((step * wanted).sum(dim=1) > 0).float().mean())
