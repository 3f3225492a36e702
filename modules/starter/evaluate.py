"""How well the finished starter model does what it is asked, measured on prompts it has never been trained with.

A judge reads the generated pictures. Its accuracy on drawn pictures is the ceiling, and guessing is the floor.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

import numpy as np
from transformers import CLIPModel, CLIPTokenizer

from modules.families.built import Built
from modules.families.judge import Judge
from modules.starter.autoencoder import psnr, restore, to_tensor
from modules.starter.clip import Pairs, ranking
from modules.starter.drawing import Recipe, generate
from modules.starter.effects import Effect, emphasis_curve, word_effects
from modules.starter.judge import Score, accuracy, both_seen
from modules.starter.pictures import Bytes, Gallery
from modules.starter.world import Spec, Vocabulary, draw, full_caption, random_spec

log = logging.getLogger(__name__)

DEMO = Spec(subject="cat", colour="red", place="in space", wear="astronaut helmet")
SEED = 77_000  # of pictures and prompts that no training has seen
NAMED = ("wear", "wear_colour", "pattern", "style")  # slots that many prompts say nothing of
Scores = Mapping[str, Score]


@dataclass(frozen=True, kw_only=True)
class Exam:
    """The finished model, and what judges it. count: prompts; a quarter as many of held-out pairs and of two subjects."""

    model: Built
    judge: Judge
    clip: CLIPModel
    tokenizer: CLIPTokenizer
    words: Vocabulary
    count: int = 1000
    recipe: Recipe = field(default_factory=Recipe)

    @property
    def few(self) -> int:
        return max(1, self.count // 4)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the judge finds of what was asked, slot by slot: in all pictures, and where the prompt says something."""

    of_all: Scores
    where_named: Scores

    def rows(self) -> dict[str, Score]:
        """In the order of the table."""
        named = {f"{slot}, where the prompt names one": self.where_named[slot] for slot in NAMED if slot in self.of_all}
        return {slot: score for slot, score in self.of_all.items() if slot != "wear_colour"} | named


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Shares of right answers, from 0 to 1.

    asked: ordinary prompts; held_out: pairs that no training picture showed; ceiling: drawn pictures; restored: the
    same through the autoencoder; floor: guessing.  two, two_drawn: how often both of two subjects are seen.
    demo: all slots of the demo prompt right at once.  emphasis: how surely the judge sees red, by the weight of "red".
    words: what single words do.
    """

    asked: Reading
    held_out: Reading
    ceiling: Reading
    restored: Reading
    floor: Mapping[str, float]
    two: Score
    two_drawn: Score
    demo: float
    psnr: float
    ranking: float
    emphasis: Mapping[float, float]
    words: Mapping[str, Effect]

    def table(self) -> str:
        """Markdown: one row per slot."""
        lines = [
            "| slot | floor (chance) | generated | prompts | held-out pairs | ceiling (drawn) | drawn, restored |",
            "|---|---|---|---|---|---|---|",
        ]
        columns = [one.rows() for one in (self.asked, self.held_out, self.ceiling, self.restored)]
        for name, score in columns[0].items():
            held_out, ceiling, restored = (column[name].right for column in columns[1:])
            numbers = (_said(held_out), _said(ceiling), _said(restored))
            floor = self.floor[name.split(",")[0]]
            lines.append(
                f"| {_spelled(name)} | {floor:.3f} | **{_said(score.right)}** | {score.of} | {' | '.join(numbers)} |"
            )
        lines.append(
            f"| both of two subjects | | **{_said(self.two.right)}** | {self.two.of} | | {_said(self.two_drawn.right)} | |"
        )
        return "\n".join(lines)

    def effects(self) -> str:
        """Markdown: the curve of the weight, then what single words do."""
        weights, shares = zip(*self.emphasis.items(), strict=True)
        lines = [
            "| weight of *red* | " + " | ".join(f"{weight:g}" for weight in weights) + " |",
            "|---" * (len(weights) + 1) + "|",
            "| sees red | " + " | ".join(f"{share:.2f}" for share in shares) + " |",
            "",
            "| word | picture follows it | drawn pictures (ceiling) |",
            "|---|---|---|",
            *(f"| {word} | {effect.made:.2f} | {effect.drawn:.2f} |" for word, effect in self.words.items()),
        ]
        return "\n".join(lines)


def _said(share: float) -> str:
    return "" if math.isnan(share) else f"{share:.3f}"


def _spelled(name: str) -> str:
    """
    >>> _spelled("wear_colour, where the prompt names one")
    "what is worn's colour, where the prompt names one"
    """
    slot, *more = name.split(", ")
    return ", ".join([{"wear": "what is worn", "wear_colour": "what is worn's colour"}.get(slot, slot), *more])


def examine(exam: Exam) -> Figures:
    specs = exam_specs(exam.words, exam.count, held_out=False)
    drawn = drawn_of(specs, exam.recipe.size)
    restored = restore(exam.model.vae, drawn)
    couples = couple_specs(exam.words, exam.few)
    return Figures(
        asked=read(exam, made_of(exam, specs), specs),
        held_out=follow(exam, exam_specs(exam.words, exam.few, held_out=True)),
        ceiling=read(exam, drawn, specs),
        restored=read(exam, restored, specs),
        floor={slot: 1 / len(words) for slot, words in exam.judge.slots.items()},
        two=both_seen(exam.judge, to_tensor(made_of(exam, couples)), couples),
        two_drawn=both_seen(exam.judge, to_tensor(drawn_of(couples, exam.recipe.size)), couples),
        demo=demo_rate(exam),
        psnr=psnr(restored, drawn),
        ranking=_ranking(exam, drawn[:100], specs[:100]),
        emphasis=emphasis_curve(exam.model, exam.judge, exam.recipe, min(32, exam.few)),
        words=word_effects(exam.model, exam.clip, exam.tokenizer, exam.recipe, min(24, exam.few)),
    )


def exam_specs(words: Vocabulary, count: int, held_out: bool) -> list[Spec]:
    """Always the same descriptions, drawn with seeds of their own."""
    return [random_spec(Random(f"exam {held_out} {n}"), words, held_out) for n in range(count)]


def couple_specs(words: Vocabulary, count: int) -> list[Spec]:
    """Descriptions of two subjects; none of a world that has no relations."""
    if not words.relations:
        return []
    found: list[Spec] = []
    tried = 0
    while len(found) < count:
        spec = random_spec(Random(f"couple {tried}"), words)
        tried += 1
        if spec.other is not None:
            found.append(replace(spec, style="photo"))
    return found


def drawn_of(specs: list[Spec], size: int) -> Bytes:
    """Drawn as no training has seen them, (n, size, size, 3)."""
    pictures = [np.asarray(draw(spec, SEED + n, size)[0]) for n, spec in enumerate(specs)]
    return np.stack(pictures) if pictures else np.zeros((0, size, size, 3), np.uint8)


def made_of(exam: Exam, specs: list[Spec]) -> Bytes:
    """Generated from the descriptions' full captions, (n, size, size, 3)."""
    if not specs:
        return drawn_of([], exam.recipe.size)
    log.info("evaluate: generating %d pictures", len(specs))
    seeds = [SEED + n for n in range(len(specs))]
    return generate(exam.model, [full_caption(spec) for spec in specs], seeds, exam.recipe)


def read(exam: Exam, pictures: Bytes, specs: list[Spec]) -> Reading:
    images = to_tensor(pictures)
    return Reading(
        of_all=accuracy(exam.judge, images, specs), where_named=accuracy(exam.judge, images, specs, named=True)
    )


def follow(exam: Exam, specs: list[Spec]) -> Reading:
    """What the judge finds of what was asked."""
    return read(exam, made_of(exam, specs), specs)


def demo_rate(exam: Exam, count: int = 25) -> float:
    """How many of the demo prompt's pictures are read as a cat, red, in space, in a helmet, all at once."""
    pictures = generate(exam.model, [full_caption(DEMO)] * count, list(range(count)), exam.recipe)
    answers = exam.judge.read(to_tensor(pictures))
    wanted = {slot: getattr(DEMO, slot) for slot in ("subject", "colour", "place", "wear")}
    return sum(all(answers[slot][n] == word for slot, word in wanted.items()) for n in range(count)) / count


def _ranking(exam: Exam, drawn: Bytes, specs: list[Spec]) -> float:
    gallery = Gallery(words=exam.words, count=len(specs), size=exam.recipe.size)
    pairs = Pairs(gallery=gallery, pictures=drawn, tokenizer=exam.tokenizer)
    return ranking(exam.clip, pairs, list(range(len(specs))), [full_caption(spec) for spec in specs])
