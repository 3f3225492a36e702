"""Text embeddings with a real, small CLIPTextModel."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from modules.core.errors import UnknownName
from modules.diffusion.conditioning import Reading, read, zero_padded

START, END, LAYERS = 98, 99, 4


@dataclass
class Chunk:
    tokens: tuple
    weights: tuple
    inserted: tuple = field(default=())


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


def encode(chunks, text_encoder, *, clip_skip=1, emphasis="Original"):
    """As Stable Diffusion 1.x reads its text encoder."""
    return read(chunks, text_encoder, Reading().with_clip_skip(clip_skip), emphasis=emphasis)[0]


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


# Other readings ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def projecting():
    torch.manual_seed(1)
    config = CLIPTextConfig(
        vocab_size=100,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        projection_dim=24,
        bos_token_id=START,
        eos_token_id=END,
    )
    return CLIPTextModelWithProjection(config).eval()


def answers(encoder, one):
    with torch.no_grad():
        return encoder(input_ids=torch.tensor([one.tokens]), output_hidden_states=True)


@pytest.mark.parametrize("layer", [-1, -2, -3])
@pytest.mark.parametrize("normed", [False, True])
def test_a_layer_with_or_without_its_norm(projecting, layer, normed):
    found, pooled = read([[chunk(1, 2)]], projecting, Reading(layer=layer, normed=normed))
    expected = answers(projecting, chunk(1, 2)).hidden_states[layer]
    if normed:
        expected = projecting.text_model.final_layer_norm(expected)
    assert torch.allclose(found, expected, atol=1e-6)
    assert pooled is None


def test_the_pooled_state_is_the_first_chunk_s_without_emphasis(projecting):
    reading = Reading(layer=-2, normed=False, pooled=True)
    found, pooled = read([[WEIGHTED, chunk(9)], [chunk(4), chunk(5)]], projecting, reading)
    assert found.shape == (2, 154, 32)
    expected = torch.cat([answers(projecting, one).text_embeds for one in (WEIGHTED, chunk(4))])
    assert torch.allclose(pooled, expected, atol=1e-6)


def test_behind_the_first_end_token_there_are_zeros():
    tokens = torch.tensor([[START, 5, END, END, 7], [START, 5, 6, 7, END], [START, 1, 2, 3, 4]])
    expected = [[START, 5, END, 0, 0], [START, 5, 6, 7, END], [START, 1, 2, 3, 4]]
    assert zero_padded(tokens, END).tolist() == expected


def test_zero_padding_is_what_the_encoder_sees(projecting):
    found, _ = read([[chunk(1, 2)]], projecting, Reading(zero_padding=True))
    zeroed = Chunk(tokens=(START, 1, 2, END, *[0] * 73), weights=(1.0,) * 77)
    assert torch.allclose(found, answers(projecting, zeroed).last_hidden_state, atol=1e-6)
    assert not torch.allclose(found, answers(projecting, chunk(1, 2)).last_hidden_state, atol=1e-3)


@pytest.mark.parametrize(
    ("reading", "skip", "layer"),
    [
        (Reading(), 1, -1),
        (Reading(), 3, -3),
        (Reading(), 0, -1),
        (Reading(layer=-2, skips=False), 5, -2),
        (Reading(normed=False), 2, -2),
    ],
)
def test_clip_skip_moves_the_layer_where_it_means_something(reading, skip, layer):
    moved = reading.with_clip_skip(skip)
    assert moved.layer == layer
    assert (moved.normed, moved.pooled, moved.zero_padding) == (reading.normed, reading.pooled, reading.zero_padding)


def test_vectors_take_their_places(text_encoder):
    table = text_encoder.get_input_embeddings().weight
    place = SimpleNamespace(offset=2, name="style")
    given = Chunk(*vars(chunk(1, 0, 0, 4)).values())
    given.inserted = (place,)
    found, _ = read([[given]], text_encoder, vectors={"style": table[[2, 3]].clone()})
    assert torch.allclose(found, encode([[chunk(1, 2, 3, 4)]], text_encoder), atol=1e-6)
    assert torch.allclose(read([[given]], text_encoder)[0], encode([[chunk(1, 0, 0, 4)]], text_encoder), atol=1e-6)


def test_an_encoder_skips_no_more_layers_than_it_has(text_encoder):
    """Clip skip 12 on a small model takes its first state: a picture rather than an error."""
    found = encode([[chunk(1, 2)]], text_encoder, clip_skip=12)
    assert found.shape == (1, 77, 32)
