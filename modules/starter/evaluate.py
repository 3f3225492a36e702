"""How well the finished starter model does what it is asked, measured on prompts it has never been trained with.

A judge reads the generated pictures. Its accuracy on drawn pictures, restored by the autoencoder, is the ceiling, and
guessing is the floor.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

import numpy as np
from transformers import CLIPModel, CLIPTokenizer

from modules.families.built import Built
from modules.families.judge import Judge
from modules.starter.autoencoder import psnr, restore, to_tensor
from modules.starter.clip import Pairs, ranking
from modules.starter.drawing import Recipe, generate
from modules.starter.judge import accuracy
from modules.starter.pictures import Bytes, Gallery
from modules.starter.world import Spec, Vocabulary, draw, full_caption, random_spec

log = logging.getLogger(__name__)

DEMO = Spec(subject="cat", colour="red", place="in space", wear="astronaut helmet")
SEED = 77_000  # of pictures and prompts that no training has seen


@dataclass(frozen=True, kw_only=True)
class Exam:
    """The finished model, and what judges it. count: prompts of each kind."""

    model: Built
    judge: Judge
    clip: CLIPModel
    tokenizer: CLIPTokenizer
    words: Vocabulary
    count: int = 500
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Shares of right answers, slot by slot, from 0 to 1.

    asked: ordinary prompts; held_out: pairs that no training picture showed; ceiling, floor: see the module.
    """

    asked: Mapping[str, float]
    held_out: Mapping[str, float]
    ceiling: Mapping[str, float]
    floor: Mapping[str, float]
    demo: float
    psnr: float
    ranking: float

    def table(self) -> str:
        """Markdown: one row per slot."""
        lines = [
            "| slot | floor (chance) | generated | held-out pairs | ceiling (judge on drawn pictures) |",
            "|---|---|---|---|---|",
        ]
        for slot, share in self.asked.items():
            numbers = (self.floor[slot], share, self.held_out[slot], self.ceiling[slot])
            lines.append(f"| {slot.replace('_', ' ')} | " + " | ".join(f"{number:.3f}" for number in numbers) + " |")
        return "\n".join(lines)


def examine(exam: Exam) -> Figures:
    specs = exam_specs(exam.words, exam.count, held_out=False)
    drawn = np.stack([np.asarray(draw(spec, SEED + n, exam.recipe.size)[0]) for n, spec in enumerate(specs)])
    restored = restore(exam.model.vae, drawn)
    return Figures(
        asked=follow(exam, specs),
        held_out=follow(exam, exam_specs(exam.words, max(1, exam.count // 4), held_out=True)),
        ceiling=accuracy(exam.judge, to_tensor(restored), specs),
        floor={slot: 1 / len(words) for slot, words in exam.judge.slots.items()},
        demo=demo_rate(exam),
        psnr=psnr(restored, drawn),
        ranking=_ranking(exam, drawn[:100], specs[:100]),
    )


def exam_specs(words: Vocabulary, count: int, held_out: bool) -> list[Spec]:
    """Always the same descriptions, drawn with seeds of their own."""
    return [random_spec(Random(f"exam {held_out} {n}"), words, held_out) for n in range(count)]


def follow(exam: Exam, specs: list[Spec]) -> dict[str, float]:
    """What the judge finds of what was asked."""
    log.info("evaluate: generating %d pictures", len(specs))
    seeds = [SEED + n for n in range(len(specs))]
    pictures = generate(exam.model, exam.tokenizer, [full_caption(spec) for spec in specs], seeds, exam.recipe)
    return accuracy(exam.judge, to_tensor(pictures), specs)


def demo_rate(exam: Exam, count: int = 25) -> float:
    """How many of the demo prompt's pictures are read as a cat, red, in space, in a helmet, all at once."""
    seeds = list(range(count))
    pictures = generate(exam.model, exam.tokenizer, [full_caption(DEMO)] * count, seeds, exam.recipe)
    answers = exam.judge.read(to_tensor(pictures))
    wanted = {slot: getattr(DEMO, slot) for slot in ("subject", "colour", "place", "wear")}
    return sum(all(answers[slot][n] == word for slot, word in wanted.items()) for n in range(count)) / count


def _ranking(exam: Exam, drawn: Bytes, specs: list[Spec]) -> float:
    gallery = Gallery(words=exam.words, count=len(specs), size=exam.recipe.size)
    pairs = Pairs(gallery=gallery, pictures=drawn, tokenizer=exam.tokenizer)
    return ranking(exam.clip, pairs, list(range(len(specs))), [full_caption(spec) for spec in specs])
