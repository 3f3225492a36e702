"""Teaching weights: what learns, from what, and that it does."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Generator

from modules.starter.clip import text_encoder_of
from modules.starter.emphasis import READS_TEXT, EmphasisShape, emphasis_loss, teach_weights
from modules.starter.rivals import NONE, Rivals
from modules.starter.unet import Painter, build_unet

SHAPE = EmphasisShape(batch=12, rivals=8)


@pytest.fixture
def painter(tiny) -> Painter:
    """That answers differently for every word, as a trained one does."""
    torch.manual_seed(0)
    unet = build_unet(tiny.sizes.unet, tiny.first_clip.config.projection_dim, tiny.latent_side)
    with torch.no_grad():
        for name, weight in unet.named_parameters():
            if "attn2" in name:
                weight.mul_(3)
    return Painter(unet, text_encoder_of(tiny.first_clip))


@pytest.fixture
def examples(tiny):
    """With text states as they are: sharpened ones of an untrained encoder are noise."""
    assert (tiny.examples.colours.of != NONE).any()
    return replace(tiny.examples, sharpening=torch.eye(len(tiny.sharpening)))


def error(pupil, teacher, examples, shape=SHAPE):
    with torch.no_grad():
        losses = [emphasis_loss(shape, pupil, teacher, examples)(0, Generator().manual_seed(n)) for n in range(8)]
    return float(torch.stack(losses).mean())


def test_weights_are_learned_from_the_model_itself(tiny, painter, examples, tmp_path):
    teacher, pupil = deepcopy(painter), deepcopy(painter)
    plan = replace(tiny.plan("emphasis", 60, 1e-3, warmup=5, average=0.9), folder=tmp_path, shards=1)
    teach_weights(plan, SHAPE, pupil, examples)
    assert error(pupil, teacher, examples) < 0.8 * error(teacher, teacher, examples)


def test_only_what_reads_words_learns(tiny, painter, examples, tmp_path):
    before = {name: value.clone() for name, value in painter.state_dict().items()}
    plan = replace(tiny.plan("emphasis", 2, 1e-3, warmup=1), folder=tmp_path, shards=1)
    teach_weights(plan, SHAPE, painter, examples)
    moved = {name for name, value in painter.state_dict().items() if not torch.equal(value, before[name])}
    assert any("attn2" in name for name in moved)
    assert any(name.startswith("text_encoder.") for name in moved)
    reads = {name for name in before if any(part in name for part in READS_TEXT)}
    assert moved <= reads | {name for name in before if name.startswith("text_encoder.") and "embedding" not in name}


def test_with_captions_of_one_colour_the_teacher_is_right(painter, examples, monkeypatch):
    """The pupil is the teacher, and no caption has a second colour: there is nothing to learn."""

    def alone(ids, own, colours, generator):
        return Rivals(both=ids, weights=torch.ones(ids.shape), other=ids, share=torch.rand(len(ids)))

    monkeypatch.setattr("modules.starter.emphasis.rivals_of", alone)
    assert error(painter, painter, examples) == pytest.approx(0, abs=1e-3)


def test_a_share_of_one_asks_for_the_pictures_own_colour(painter, examples, monkeypatch):
    """With weights of 1 the pupil, who is the teacher, is as far away as the other colour is."""

    def ours(share):
        def made(ids, own, colours, generator):
            other = torch.where(ids == own[:, None], colours[0], ids)
            return Rivals(both=ids, weights=torch.ones(ids.shape), other=other, share=torch.full((len(ids),), share))

        return made

    found = []
    for share in (1.0, 0.5, 0.0):
        monkeypatch.setattr("modules.starter.emphasis.rivals_of", ours(share))
        found.append(error(painter, painter, examples))
    assert found[0] == pytest.approx(0, abs=1e-3)
    assert found[1] == pytest.approx(found[2] / 4, rel=0.05)  # half as far
    assert found[2] > 0.01


def test_the_states_of_other_captions_count(painter, examples):
    """A text encoder that says something else costs more when that is to be kept."""
    pupil = deepcopy(painter)
    with torch.no_grad():
        pupil.text_encoder.final_layer_norm.bias.add_(0.5)
    kept, free = (error(pupil, painter, examples, replace(SHAPE, kept=kept)) for kept in (1.0, 0.0))
    assert kept > free + 0.001
