"""Text embeddings with a real, small CLIPTextModel."""

from dataclasses import dataclass

import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel

from modules.core.errors import UnknownName
from modules.diffusion.conditioning import encode

START, END, LAYERS = 98, 99, 4


@dataclass
class Chunk:
    tokens: tuple
    weights: tuple


def chunk(*content, weights=()):
    padding = 76 - len(content)
    return Chunk(
        tokens=(START, *content, *[END] * padding),
        weights=(1.0, *(weights or [1.0] * len(content)), *[1.0] * padding),
    )


@pytest.fixture(scope="module")
def text_encoder():
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=100,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        bos_token_id=START,
        eos_token_id=END,
    )
    encoder = CLIPTextModel(config).eval()
    # As after training; a fresh layer norm gives a mean of 0, by which "Original" would have to divide.
    encoder.final_layer_norm.bias.data.uniform_(-0.5, 1.0)
    return encoder


@pytest.fixture
def plain(text_encoder):
    """What transformers says to one chunk."""

    def call(one, **options):
        with torch.no_grad():
            return text_encoder(input_ids=torch.tensor([one.tokens]), **options)

    return call


WEIGHTED = chunk(1, 2, 3, weights=(1.5, 1.0, 0.5))
MULTIPLIERS = torch.tensor(WEIGHTED.weights).view(1, 77, 1)


@pytest.mark.parametrize("emphasis", ["Original", "No norm", "Ignore", "None"])
def test_without_weights_it_is_the_plain_call(text_encoder, plain, emphasis):
    found = encode([[chunk(1, 2, 3)]], text_encoder, emphasis=emphasis)
    assert torch.equal(found, plain(chunk(1, 2, 3)).last_hidden_state)


def test_chunks_are_encoded_one_by_one_and_stand_behind_each_other(text_encoder, plain):
    first, second = chunk(*range(1, 76)), chunk(5, 6)
    found = encode([[first, second]], text_encoder)
    assert found.shape == (1, 154, 32)
    expected = torch.cat([plain(one).last_hidden_state for one in (first, second)], dim=1)
    assert torch.allclose(found, expected, atol=1e-6)


def test_several_prompts_are_encoded_together(text_encoder, plain):
    one, other = chunk(1, 2), chunk(3)
    found = encode([[one], [other]], text_encoder)
    expected = torch.cat([plain(chunk).last_hidden_state for chunk in (one, other)])
    assert torch.allclose(found, expected, atol=1e-6)


def test_prompts_of_different_length_are_our_mistake(text_encoder):
    with pytest.raises(ValueError):
        encode([[chunk(1), chunk(2)], [chunk(3)]], text_encoder)


def test_no_norm_multiplies_each_tokens_vector(text_encoder, plain):
    z = plain(WEIGHTED).last_hidden_state
    assert torch.allclose(encode([[WEIGHTED]], text_encoder, emphasis="No norm"), z * MULTIPLIERS)


def test_original_keeps_the_mean(text_encoder, plain):
    z = plain(WEIGHTED).last_hidden_state
    found = encode([[WEIGHTED]], text_encoder)
    weighted = z * MULTIPLIERS
    assert torch.allclose(found, weighted * z.mean() / weighted.mean(), atol=1e-5)
    assert found.mean().item() == pytest.approx(z.mean().item(), rel=1e-3)


def test_original_takes_the_mean_of_the_whole_batch_but_of_one_chunk(text_encoder, plain):
    other = chunk(7, 8)
    found = encode([[WEIGHTED, other], [other, other]], text_encoder)
    z = torch.cat([plain(one).last_hidden_state for one in (WEIGHTED, other)])
    multipliers = torch.cat([MULTIPLIERS, torch.ones(1, 77, 1)])
    expected = z * multipliers * z.mean() / (z * multipliers).mean()
    assert torch.allclose(found[:, :77], expected, atol=1e-5)
    assert torch.allclose(found[:, 77:], plain(other).last_hidden_state.expand(2, -1, -1), atol=1e-6)


def test_a_mean_of_zero_gives_no_scale(text_encoder, monkeypatch):
    """The quotient of two means that are chance may be -1 and turn a text into its opposite."""
    monkeypatch.setattr(text_encoder.final_layer_norm.bias, "data", torch.zeros(32))
    found = encode([[WEIGHTED]], text_encoder)
    assert torch.equal(found, encode([[WEIGHTED]], text_encoder, emphasis="No norm"))


@pytest.mark.parametrize("emphasis", ["Ignore", "None"])
def test_weights_can_be_ignored(text_encoder, plain, emphasis):
    found = encode([[WEIGHTED]], text_encoder, emphasis=emphasis)
    assert torch.equal(found, plain(WEIGHTED).last_hidden_state)


def test_an_unknown_emphasis_is_refused(text_encoder):
    with pytest.raises(UnknownName, match="Loud"):
        encode([[WEIGHTED]], text_encoder, emphasis="Loud")


@pytest.mark.parametrize("clip_skip", range(1, LAYERS + 1))
def test_clip_skip_takes_an_earlier_layer_through_the_final_norm(text_encoder, clip_skip):
    """Counted here by really cutting layers off."""
    found = encode([[chunk(1, 2)]], text_encoder, clip_skip=clip_skip)
    shorter = CLIPTextModel(
        CLIPTextConfig(**(text_encoder.config.to_dict() | {"num_hidden_layers": LAYERS - clip_skip + 1}))
    ).eval()
    shorter.load_state_dict(text_encoder.state_dict(), strict=False)
    with torch.no_grad():
        expected = shorter(input_ids=torch.tensor([chunk(1, 2).tokens])).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-6)


def test_half_precision_stays_half_precision(text_encoder):
    found = encode([[WEIGHTED]], text_encoder.to(torch.bfloat16))
    text_encoder.to(torch.float32)
    assert found.dtype == torch.bfloat16
    assert torch.isfinite(found).all()
