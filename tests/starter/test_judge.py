"""What the judge is taught, and how its answers are counted."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from modules.families.judge import BACKGROUND, Judge
from modules.starter.judge import (
    accuracy,
    answer,
    both_seen,
    is_named,
    judged_figures,
    slot_words,
    targets,
    world_of,
)
from modules.starter.spec import is_seen
from modules.starter.world import FIRST, FULL, Spec

CAT = Spec(subject="cat", colour="red", place="in space", wear="hat", wear_colour="blue")
SKETCH = replace(CAT, style="sketch")
COUPLE = Spec(
    subject="dog",
    colour="blue",
    place="on a red background",
    relation="left of",
    other=Spec(subject="vase", colour="pink", place="on a red background"),
)


class Saying(Judge):
    """A judge that is sure of what it is told, picture by picture."""

    def __init__(self, *said: Spec, unsure: str = "") -> None:
        super().__init__(slot_words(FULL), widths=(8, 8))
        self.said, self.unsure = said, unsure

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        shares = {slot: shares for slot, (shares, _) in targets(self.slots, list(self.said[: len(images)])).items()}
        return {slot: torch.zeros_like(one) if slot == self.unsure else one for slot, one in shares.items()}


def images(count):
    return torch.zeros(count, 3, 128, 128)


def test_every_plain_background_is_one_answer():
    assert answer(COUPLE, "place") == BACKGROUND
    assert BACKGROUND in slot_words(FULL)["place"]
    assert len(slot_words(FULL)["place"]) == 18


def test_a_small_world_has_no_heads_for_what_it_does_not_show():
    assert set(slot_words(FIRST)) == {"subject", "colour", "place", "wear", "wear_colour"}
    assert set(slot_words(FULL)) == {*slot_words(FIRST), "pattern", "style"}


@pytest.mark.parametrize(
    ("spec", "unseen"),
    [
        (CAT, set()),
        (SKETCH, {"colour", "wear_colour"}),
        (COUPLE, {"subject", "colour", "pattern"}),
    ],
)
def test_what_a_picture_cannot_show_is_not_asked(spec, unseen):
    assert {slot for slot in slot_words(FULL) if not is_seen(spec, slot)} == unseen


def test_what_a_prompt_does_not_say_is_not_named():
    assert [slot for slot in slot_words(FULL) if is_named(CAT, slot)] == [
        "subject",
        "colour",
        "place",
        "wear",
        "wear_colour",
    ]


def test_the_world_is_the_one_whose_words_the_judge_was_taught():
    assert world_of(Judge(slot_words(FULL), widths=(8,))) is FULL
    assert world_of(Judge(slot_words(FIRST), widths=(8,))) is FIRST
    with pytest.raises(ValueError, match="judge"):
        world_of(Judge({"subject": ("cat", "unicorn")}, widths=(8,)))


def test_targets_are_the_right_answers():
    slots = slot_words(FULL)
    found = targets(slots, [CAT, SKETCH, COUPLE])
    for slot, (shares, seen) in found.items():
        assert torch.allclose(shares.sum(dim=1), torch.ones(3))
        assert slots[slot][int(shares[0].argmax())] == answer(CAT, slot)
        assert bool(seen[0])
    assert found["colour"][1].tolist() == [True, False, False]
    halves = found["subject"][0][2]
    assert {slots["subject"][n]: float(halves[n]) for n in halves.nonzero().flatten()} == {"dog": 0.5, "vase": 0.5}
    assert found["subject"][1].tolist() == [True, True, True]


def test_accuracy_counts_right_words_where_they_can_be_seen():
    judge = Saying(CAT, replace(CAT, colour="green"), SKETCH, COUPLE)
    scores = accuracy(judge, images(4), [CAT, CAT, SKETCH, COUPLE])
    assert (scores["colour"].right, scores["colour"].of) == (0.5, 2)
    assert (scores["place"].right, scores["place"].of) == (1.0, 4)
    assert (scores["subject"].right, scores["subject"].of) == (1.0, 3)


def test_accuracy_where_a_prompt_says_something():
    plain = replace(CAT, wear="", wear_colour="")
    scores = accuracy(Saying(CAT, CAT), images(2), [CAT, plain], named=True)
    assert (scores["wear"].right, scores["wear"].of) == (1.0, 1)
    assert scores["pattern"].of == 0
    assert math.isnan(scores["pattern"].right)
    everywhere = accuracy(Saying(CAT, CAT), images(2), [CAT, plain])
    assert (everywhere["wear"].right, everywhere["wear"].of) == (0.5, 2)


def test_both_of_two_subjects_must_be_seen():
    cat_too = replace(COUPLE, other=replace(COUPLE.other, subject="cat"))
    assert both_seen(Saying(COUPLE, cat_too), images(2), [COUPLE, COUPLE]).right == 0.5
    assert both_seen(Saying(COUPLE, CAT), images(2), [COUPLE, CAT]).of == 1
    assert math.isnan(both_seen(Saying(CAT), images(1), [CAT]).right)


def test_the_tiny_build_taught_a_judge_and_measured_it(tiny):
    assert set(tiny.judge.figures) == set(tiny.judge.slots)
    assert judged_figures(tiny.judge, tiny.sizes.judge, tiny.gallery) == tiny.judge.figures
