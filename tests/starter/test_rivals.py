"""Captions of two colours, of which one is weighted."""

import pytest
import torch
from torch import Generator
from transformers import CLIPTokenizer

from modules.families.built import TOKENIZER
from modules.starter.clip import tokens_of
from modules.starter.pictures import Gallery
from modules.starter.rivals import HEAVIEST, LIGHTEST, NONE, STEEPNESS, colours_of, rivals_of
from modules.starter.world import FULL

COUNT = 600


@pytest.fixture(scope="module")
def tokenizer():
    return CLIPTokenizer.from_pretrained(TOKENIZER)


@pytest.fixture(scope="module")
def colours(tokenizer):
    return colours_of(Gallery(words=FULL, count=300, size=128), 300, tokenizer)


def rivals(tokenizer, colours, caption, own="red"):
    """What becomes of many copies of a caption, and its texts with both colours and with the other one."""
    ids = tokens_of(tokenizer, [caption] * COUNT)
    theirs = torch.full((COUNT,), tokenizer(own).input_ids[1])
    made = rivals_of(ids, theirs, colours.all, Generator().manual_seed(1))
    assert made.both.shape == made.weights.shape == made.other.shape == ids.shape
    return made, *(
        [tokenizer.decode(row, skip_special_tokens=True) for row in rows] for rows in (made.both, made.other)
    )


def test_a_second_colour_stands_beside_the_first_and_nothing_else_changes(tokenizer, colours):
    before, after = "a striped ", " cat wearing a blue hat in the snow"
    _, both, other = rivals(tokenizer, colours, f"{before}red{after}")
    named = [text.removeprefix(before).removesuffix(after).split() for text in both]
    assert all(len(pair) == 2 and "red" in pair and set(pair) <= set(FULL.colours) for pair in named)
    assert len({one for pair in named for one in pair}) == len(FULL.colours)
    assert 0.4 < sum(pair[0] == "red" for pair in named) / COUNT < 0.6
    alone = [text.removeprefix(before).removesuffix(after) for text in other]
    assert [{"red", one} for one in alone] == [set(pair) for pair in named]


def test_the_weight_tells_how_much_of_either_colour_is_asked_for(tokenizer, colours):
    made, _, _ = rivals(tokenizer, colours, "a red cat")
    weighted = (made.weights != 1).sum(dim=1)
    assert set(weighted.tolist()) == {0, 1}  # of some captions no word is weighted, of the others one
    assert torch.allclose(made.share[weighted == 0], torch.tensor(0.5))
    values, own = made.weights[made.weights != 1], made.both[made.weights != 1] == tokenizer("red").input_ids[1]
    assert LIGHTEST <= values.min() < 0.6 < 1.5 < values.max() <= HEAVIEST
    asked = (STEEPNESS * (values - 1)).sigmoid()
    assert 0.4 < own.float().mean() < 0.6
    assert torch.allclose(made.share[weighted == 1], torch.where(own, asked, 1 - asked))


def test_a_caption_that_names_no_colour_stays_as_it_is(tokenizer, colours):
    made, both, other = rivals(tokenizer, colours, "a cat in the snow")
    assert set(both) == set(other) == {"a cat in the snow"}
    assert (made.weights == 1).all()


def test_what_shows_no_single_colour_has_none(tokenizer, colours):
    gallery = Gallery(words=FULL, count=300, size=128)
    for number, own in enumerate(colours.of.tolist()):
        spec = gallery.spec(number)
        if spec.other or spec.style == "sketch":
            assert own == NONE
        else:
            assert tokenizer.decode([own]) == spec.colour
