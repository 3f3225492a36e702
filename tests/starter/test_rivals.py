"""Captions of two colours, of which one is weighted."""

import pytest
import torch
from torch import Generator
from transformers import CLIPTokenizer

from modules.families.built import TOKENIZER
from modules.starter.clip import tokens_of
from modules.starter.pictures import Gallery
from modules.starter.rivals import HEAVIEST, LIGHTEST, NONE, colours_of, with_rivals
from modules.starter.world import FULL

COUNT = 600


@pytest.fixture(scope="module")
def tokenizer():
    return CLIPTokenizer.from_pretrained(TOKENIZER)


@pytest.fixture(scope="module")
def colours(tokenizer):
    return colours_of(Gallery(words=FULL, count=300, size=128), 300, tokenizer)


def rivals(tokenizer, colours, caption, share, own="red"):
    ids = tokens_of(tokenizer, [caption] * COUNT)
    theirs = torch.full((COUNT,), tokenizer(own).input_ids[1])
    changed, weights = with_rivals(ids, theirs, colours.all, share, Generator().manual_seed(1))
    assert changed.shape == weights.shape == ids.shape
    texts = [tokenizer.decode(row, skip_special_tokens=True) for row in changed]
    return changed, weights, texts


def test_a_second_colour_stands_beside_the_first_and_nothing_else_changes(tokenizer, colours):
    _, _, texts = rivals(tokenizer, colours, "a striped red cat wearing a blue hat in the snow", 1.0)
    named = [
        text.removeprefix("a striped ").removesuffix(" cat wearing a blue hat in the snow").split() for text in texts
    ]
    assert all(len(pair) == 2 and "red" in pair and set(pair) <= set(FULL.colours) for pair in named)
    assert len({other for pair in named for other in pair}) == len(FULL.colours)
    assert 0.4 < sum(pair[0] == "red" for pair in named) / COUNT < 0.6


def test_the_weight_tells_which_of_them_the_picture_has(tokenizer, colours):
    changed, weights, _ = rivals(tokenizer, colours, "a red cat", 1.0)
    assert ((weights != 1).sum(dim=1) == 1).all()  # one word is weighted
    values, own = weights[weights != 1], changed[weights != 1] == tokenizer("red").input_ids[1]
    assert values.min() >= LIGHTEST
    assert values.max() <= HEAVIEST
    shares = [float(own[(values >= low) & (values < low + 0.2)].float().mean()) for low in (0.5, 0.9, 1.4)]
    assert shares[0] < 0.2 < 0.35 < shares[1] < 0.65 < 0.8 < shares[2]


def test_only_some_captions_get_one_and_none_that_names_no_colour(tokenizer, colours):
    _, weights, texts = rivals(tokenizer, colours, "a red cat", 0.25)
    assert 0.18 < sum(text != "a red cat" for text in texts) / COUNT < 0.32
    assert all((row != 1).any() == (text != "a red cat") for row, text in zip(weights, texts, strict=True))
    _, weights, texts = rivals(tokenizer, colours, "a cat in the snow", 1.0)
    assert set(texts) == {"a cat in the snow"}
    assert (weights == 1).all()


def test_what_shows_no_single_colour_has_none(tokenizer, colours):
    gallery = Gallery(words=FULL, count=300, size=128)
    for number, own in enumerate(colours.of.tolist()):
        spec = gallery.spec(number)
        if spec.other or spec.style == "sketch":
            assert own == NONE
        else:
            assert tokenizer.decode([own]) == spec.colour
