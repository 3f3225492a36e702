"""What single words do: the curve of a weight and the words one by one, with judges that say what they are told."""

import numpy as np
import pytest
import torch

from modules.families.judge import Judge
from modules.starter import effects
from modules.starter.drawing import Recipe
from modules.starter.effects import PLAIN, WEIGHTS, WORDS, emphasis_curve, weighted, word_effects
from modules.starter.judge import slot_words
from modules.starter.world import FULL, is_held_out

RECIPE = Recipe(size=64, steps=1)


class Redness(Judge):
    """Sees red as surely as the picture is bright."""

    def __init__(self):
        super().__init__(slot_words(FULL), widths=(8,))

    def forward(self, images):
        logits = torch.zeros(len(images), len(FULL.colours))
        logits[:, 0] = 5 * images.mean(dim=(1, 2, 3))
        return {"colour": logits}


def bright(*values):
    return np.stack([np.full((64, 64, 3), value, np.uint8) for value in values])


def test_no_prompt_names_red_twice_or_is_told_to_draw_a_couple():
    assert all(spec.colour != "red" and spec.other is None for spec in PLAIN)
    assert len(set(PLAIN)) == len(PLAIN) >= 48
    assert not any(map(is_held_out, PLAIN))


def test_the_curve_follows_the_weight(monkeypatch):
    asked = []

    def generate(model, prompts, seeds, recipe):
        asked.append((tuple(prompts), tuple(seeds)))
        return bright(*(float(prompt.split(":")[1].split(")")[0]) * 120 for prompt in prompts))

    monkeypatch.setattr(effects, "generate", generate)
    curve = emphasis_curve(None, Redness(), RECIPE, 3)
    assert list(curve) == list(WEIGHTS)
    assert sorted(curve.values()) == list(curve.values())
    assert len({seeds for _, seeds in asked}) == 1
    assert asked[0][0][:2] == (weighted(PLAIN[0], 0.5, red_first=True), weighted(PLAIN[1], 0.5, red_first=False))


@pytest.fixture
def clip(monkeypatch):
    """A CLIP to which captions with a word are bright, and pictures are as bright as they are."""
    monkeypatch.setattr(effects, "tokens_of", lambda tokenizer, captions: captions)
    words = tuple(WORDS)
    monkeypatch.setattr(
        effects,
        "text_features",
        lambda clip, captions: torch.tensor([[float(any(word in one for word in words))] for one in captions]),
    )
    monkeypatch.setattr(effects, "image_features", lambda clip, images: images.mean(dim=(1, 2, 3))[:, None])


@pytest.mark.parametrize(("made", "share"), [(200, 1.0), (50, 0.0)])
def test_a_word_counts_when_the_picture_moves_its_way(monkeypatch, clip, made, share):
    def generate(model, prompts, seeds, recipe):
        return bright(*(made if any(word in prompt for word in WORDS) else 100 for prompt in prompts))

    monkeypatch.setattr(effects, "generate", generate)
    found = word_effects(None, None, None, RECIPE, 6)
    assert set(found) == set(WORDS)
    assert all(effect.made == share for effect in found.values())


def test_faces_are_not_asked_of_cars(monkeypatch, clip):
    asked = []

    def generate(model, prompts, seeds, recipe):
        asked.extend(prompts)
        return bright(*(100 for _ in prompts))

    monkeypatch.setattr(effects, "generate", generate)
    word_effects(None, None, None, RECIPE, 12)
    assert not [prompt for prompt in asked if "cute" in prompt and ("car" in prompt.split() or "robot" in prompt)]
    assert [prompt for prompt in asked if "sketch" in prompt and "car" in prompt.split()]
