"""How the judge (`families/judge.py`) learns to read off a picture what its description says, to measure prompt following.

Its own accuracy on drawn pictures is the ceiling of every score it gives, and chance is the floor. Unlike the U-Net it
also learns from the pictures that base training leaves out: else nobody could say whether a zero-shot picture is right.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from random import Random
from threading import Lock

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from modules.families.judge import BACKGROUND, Judge
from modules.starter.autoencoder import restore, to_tensor
from modules.starter.clip import Pairs
from modules.starter.loop import LossAt, Plan, mixed, train
from modules.starter.pictures import Bytes, Gallery
from modules.starter.spec import is_seen, often
from modules.starter.world import FIRST, FULL, Spec, Vocabulary, draw, random_spec

log = logging.getLogger(__name__)

SEED, MEASURED = 60_000_000, 70_000_000  # of the held-out pictures it learns from, of those it is measured with
TELLING = {"wear": "", "wear_colour": "", "pattern": "plain", "style": "photo"}  # a slot's word for nothing special


@dataclass(frozen=True, kw_only=True)
class JudgeShape:
    """batch: pictures of a step, three fifths of them as drawn, the others as the autoencoder gives them back; of each
    kind a fifth is held out.

    restored, held_out: how many pictures of the gallery are given back, and how many held-out ones are drawn.
    """

    batch: int = 64
    restored: int = 6000
    held_out: int = 6000
    measured: int = 1000  # pictures, half of them held out, that its own figures come from


def slot_words(words: Vocabulary) -> dict[str, tuple[str, ...]]:
    """What each head of the judge can answer; an empty text is 'none'."""
    slots = {
        "subject": words.subjects,
        "colour": words.colours,
        "place": tuple(BACKGROUND if "{" in place else place for place in words.places),
        "wear": ("", *words.wear),
        "wear_colour": ("", *words.colours),
        "pattern": words.patterns,
        "style": words.styles,
    }
    return {slot: answers for slot, answers in slots.items() if len(answers) > 1}


def world_of(judge: Judge) -> Vocabulary:
    """The words that this judge reads. Raises ValueError when its answers are of no world that we draw."""
    for words in (FULL, FIRST):
        if slot_words(words) == judge.slots:
            return words
    raise ValueError("this judge was taught other words than the starter world has: run the stage 'judge' again")


def answer(spec: Spec, slot: str) -> str:
    """What the judge should say of a picture.

    >>> answer(Spec(subject="cat", colour="red", place="on a blue background"), "place")
    'on a background'
    """
    word = getattr(spec, slot)
    return BACKGROUND if slot == "place" and word.endswith(" background") else word


def is_named(spec: Spec, slot: str) -> bool:
    """Whether a prompt says something of it that is not so anyway."""
    return getattr(spec, slot) != TELLING.get(slot)


def targets(slots: Mapping[str, tuple[str, ...]], specs: list[Spec]) -> dict[str, tuple[Tensor, Tensor]]:
    """For each slot the shares of the right answers, (b, answers), and whether the picture shows any, (b,).

    A picture of two subjects shows each of them by half.
    """
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for slot, words in slots.items():
        shares = torch.zeros(len(specs), len(words))
        for row, spec in zip(shares, specs, strict=True):
            shown = [spec] if spec.other is None or slot != "subject" else [spec, spec.other]
            for one in shown:
                row[words.index(answer(one, slot))] += 1 / len(shown)
        seen = [is_seen(spec, slot) or (slot == "subject" and spec.other is not None) for spec in specs]
        found[slot] = shares, torch.tensor(seen)
    return found


def train_judge(plan: Plan, shape: JudgeShape, judge: Judge, pairs: Pairs, autoencoder: AutoencoderKL) -> None:
    judge.to(memory_format=torch.channels_last)
    train(plan, judge, _loss(judge, _Lessons(shape, pairs, autoencoder, plan.device)))


@dataclass(frozen=True, kw_only=True)
class _Pool:
    """Pictures (n, h, w, 3) of these descriptions; small and rare things are shown more often."""

    specs: list[Spec]
    pictures: Bytes

    @cached_property
    def weights(self) -> Tensor:
        return torch.tensor([often(spec) for spec in self.specs])

    def some(self, generator: Generator, count: int) -> tuple[list[Spec], Bytes]:
        numbers = torch.multinomial(self.weights, count, replacement=True, generator=generator).sort().values.tolist()
        return [self.specs[n] for n in numbers], self.pictures[numbers]


class _Lessons:
    """The pictures it learns from; those that are not of the gallery are made when the first step asks for them."""

    def __init__(self, shape: JudgeShape, pairs: Pairs, autoencoder: AutoencoderKL, device: torch.device) -> None:
        self.shape, self.pairs, self.autoencoder, self.device = shape, pairs, autoencoder, device
        self._lock = Lock()  # all shards ask at once

    @cached_property
    def drawn(self) -> _Pool:
        """The gallery."""
        pictures = self.pairs.pictures
        return _Pool(specs=[self.pairs.gallery.spec(n) for n in range(len(pictures))], pictures=pictures)

    @cached_property
    def held_out(self) -> _Pool:
        words, side = self.pairs.gallery.words, self.pairs.gallery.size
        specs = [random_spec(Random(f"judge {n}"), words, held_out=True) for n in range(self.shape.held_out)]
        log.info("judge: drawing %d held-out pictures", len(specs))
        pictures = np.stack([np.asarray(draw(spec, SEED + n, side)[0]) for n, spec in enumerate(specs)])
        return _Pool(specs=specs, pictures=pictures)

    @cached_property
    def given_back(self) -> _Pool:
        """Of the gallery and, a fifth, held-out ones."""
        count = self.shape.restored
        few = count // 5
        log.info("judge: %d pictures through the autoencoder", count)
        pictures = np.concatenate([self.drawn.pictures[: count - few], self.held_out.pictures[:few]])
        with mixed(self.device):
            restored = restore(self.autoencoder, pictures, device=self.device)
        return _Pool(specs=self.drawn.specs[: count - few] + self.held_out.specs[:few], pictures=restored)

    def some(self, generator: Generator) -> tuple[list[Spec], Bytes]:
        specs: list[Spec] = []
        images: list[Bytes] = []
        with self._lock:
            pools = ((self.drawn, 0.48), (self.held_out, 0.12), (self.given_back, 0.4))
        for pool, share in pools:
            known, pictures = pool.some(generator, max(1, round(self.shape.batch * share)))
            specs += known
            images.append(pictures)
        return specs, np.concatenate(images)


def _loss(judge: Judge, lessons: _Lessons) -> LossAt:
    def loss_at(step: int, generator: Generator) -> Tensor:
        specs, images = lessons.some(generator)
        if step % 2:
            images = images[:, :, ::-1]
        with mixed(lessons.device):
            answers = judge(_disturb(to_tensor(images), generator).to(lessons.device))
        losses: list[Tensor] = []
        for slot, wanted in targets(judge.slots, specs).items():
            shares, seen = (one.to(lessons.device) for one in wanted)
            each = cross_entropy(answers[slot].float(), shares, reduction="none")
            losses.append((each * seen).sum() / seen.sum().clamp(min=1))
        return torch.stack(losses).sum()

    return loss_at


def _disturb(images: Tensor, generator: Generator) -> Tensor:
    """A little noise, so that the judge reads shapes and colours, not traces of the autoencoder."""
    noise = torch.randn(images.shape, generator=generator)
    return (images + 0.06 * noise).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True, kw_only=True)
class Score:
    """right: share of right answers, 0 to 1, NaN of none; of: how many there were to give."""

    right: float
    of: int


def accuracy(judge: Judge, images: Tensor, specs: list[Spec], named: bool = False) -> dict[str, Score]:
    """How often the judge reads what the descriptions say, slot by slot, where a picture can show it.

    named: only of prompts that say something of the slot.
    """
    answers = judge.read(images)
    found: dict[str, Score] = {}
    for slot, words in answers.items():
        asked = [
            word == answer(spec, slot)
            for word, spec in zip(words, specs, strict=True)
            if is_seen(spec, slot) and (is_named(spec, slot) or not named)
        ]
        found[slot] = Score(right=sum(asked) / len(asked) if asked else float("nan"), of=len(asked))
    return found


def both_seen(judge: Judge, images: Tensor, specs: list[Spec]) -> Score:
    """Of pictures of two subjects: how often both are among the two that the judge thinks likeliest."""
    seen = [
        found == {spec.subject, spec.other.subject}
        for found, spec in zip(judge.subjects(images), specs, strict=True)
        if spec.other is not None
    ]
    return Score(right=sum(seen) / len(seen) if seen else float("nan"), of=len(seen))


def judged_figures(judge: Judge, shape: JudgeShape, gallery: Gallery) -> dict[str, float]:
    """How often it is right on drawn pictures that it has not learned from, by slot."""
    halves = [(held_out, n) for n in range(shape.measured // 2) for held_out in (False, True)]
    specs = [random_spec(Random(f"judged {held_out} {n}"), gallery.words, held_out) for held_out, n in halves]
    drawn = np.stack([np.asarray(draw(spec, MEASURED + n, gallery.size)[0]) for n, spec in enumerate(specs)])
    return {slot: score.right for slot, score in accuracy(judge, to_tensor(drawn), specs).items() if score.of}
