"""How the judge (`families/judge.py`) learns to read subject, colour, place and wear, to measure prompt following.

Its own accuracy on drawn pictures is the ceiling of every score it gives, and chance is the floor.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from modules.families.judge import Judge
from modules.starter.autoencoder import restore, to_tensor
from modules.starter.clip import Pairs, numbers_of
from modules.starter.loop import LossAt, Plan, train
from modules.starter.world import Spec, Vocabulary

SLOTS = ("subject", "colour", "place", "wear", "wear_colour")


def slot_words(words: Vocabulary) -> dict[str, tuple[str, ...]]:
    """What each head of the judge can answer; an empty text is 'none'."""
    return {
        "subject": words.subjects,
        "colour": words.colours,
        "place": words.places,
        "wear": ("", *words.wear),
        "wear_colour": ("", *words.colours),
    }


@dataclass(frozen=True, kw_only=True)
class JudgeShape:
    batch: int = 64
    restored: int = 2000  # how many of the pictures are also shown as the autoencoder gives them back


def labels(slots: Mapping[str, tuple[str, ...]], specs: list[Spec]) -> dict[str, Tensor]:
    """The number of the right answer of each slot, (b,)."""
    return {slot: torch.tensor([words.index(getattr(spec, slot)) for spec in specs]) for slot, words in slots.items()}


def train_judge(plan: Plan, shape: JudgeShape, judge: Judge, pairs: Pairs, autoencoder: AutoencoderKL) -> None:
    judge.to(memory_format=torch.channels_last)
    train(plan, judge, _loss(shape, judge, pairs, autoencoder))


def _loss(shape: JudgeShape, judge: Judge, pairs: Pairs, autoencoder: AutoencoderKL) -> LossAt:
    given_back = restore(autoencoder, pairs.pictures[: shape.restored])

    def loss_at(step: int, generator: Generator) -> Tensor:
        half = shape.batch // 2
        drawn = numbers_of(generator, len(pairs.pictures), half)
        blurred = numbers_of(generator, len(given_back), half)
        images = np.concatenate([pairs.pictures[sorted(drawn)], given_back[blurred]])
        if step % 2:
            images = images[:, :, ::-1]
        wanted = labels(judge.slots, [pairs.gallery.spec(n) for n in (*sorted(drawn), *blurred)])
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            answers = judge(_disturb(to_tensor(images), generator))
        losses = [cross_entropy(answers[slot].float(), wanted[slot]) for slot in judge.slots]
        return torch.stack(losses).sum()

    return loss_at


def _disturb(images: Tensor, generator: Generator) -> Tensor:
    """A little noise, so that the judge reads shapes and colours, not traces of the autoencoder."""
    noise = torch.randn(images.shape, generator=generator)
    return (images + 0.06 * noise).contiguous(memory_format=torch.channels_last)


def accuracy(judge: Judge, images: Tensor, specs: list[Spec]) -> dict[str, float]:
    """Share of right answers, slot by slot."""
    answers = judge.read(images)
    return {
        slot: sum(word == getattr(spec, slot) for word, spec in zip(words, specs, strict=True)) / len(specs)
        for slot, words in answers.items()
    }
