"""What a picture is said to show at a step, and how it is read."""

from dataclasses import replace

import pytest
import torch
from torch import Generator

from modules.core.training import TrainingPlan
from modules.training.captions import MOST_KEPT, Texts, caption_chunk, drawn_caption, shuffled
from modules.training.chance import generator

PLAN = TrainingPlan(pictures=("a",))
TAGS = "sks cat, red, on grass,  sleeping , , blue sky"


def test_parts_change_places_but_not_the_first():
    found = {shuffled(TAGS, 2, generator(n)) for n in range(30)}
    assert len(found) == 6
    for one in found:
        parts = one.split(", ")
        assert parts[:2] == ["sks cat", "red"]
        assert sorted(parts[2:]) == ["blue sky", "on grass", "sleeping"]
    assert shuffled("a, b", 5, Generator()) == "a, b"


def test_captions_are_left_out_as_often_as_asked():
    plan = replace(PLAN, caption_dropout_rate=0.25)
    left_out = sum(drawn_caption("a cat", plan, generator(1, n)) == "" for n in range(2000))
    assert 430 < left_out < 570  # 500 and three and a half deviations
    assert {drawn_caption("a cat", PLAN, generator(1, n)) for n in range(50)} == {"a cat"}
    assert drawn_caption("a cat", replace(PLAN, caption_dropout_rate=1.0), Generator()) == ""


def test_brackets_are_text_and_75_tokens_count(tokenizer):
    chunk = caption_chunk("(cat:1.3)", tokenizer, {})
    assert set(chunk.weights) == {1.0}
    assert chunk.tokens[1:-1][: len(tokenizer.encode("(cat:1.3)"))] == tuple(tokenizer.encode("(cat:1.3)"))
    long = caption_chunk("cat, " * 60, tokenizer, {})
    assert len(long.tokens) == 77
    assert long.tokens[1:76] == tuple(tokenizer.encode("cat, " * 60)[:75])


def test_a_placeholder_takes_its_vectors(tokenizer):
    chunk = caption_chunk("a photo of my-cat asleep", tokenizer, {"my-cat": 3})
    (inserted,) = chunk.inserted
    assert (inserted.name, inserted.offset) == ("my-cat", 4)
    assert chunk.tokens[7:8] == tuple(tokenizer.encode("asleep"))


# Reading ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def learner(tiny, plan_of, learner_of):
    return learner_of(tiny("sd1"), plan_of())


def test_texts_are_encoded_once_each(tiny, learner, tokenizer, monkeypatch):
    model, asked = tiny("sd1"), []
    own = type(model).encode
    monkeypatch.setattr(
        type(model), "encode", lambda self, *args, **known: asked.append(1) or own(self, *args, **known)
    )
    texts = Texts(model, learner, tokenizer)
    first = texts.encoded(["a cat", "a dog", "a cat"])
    again = texts.encoded(["a dog"])
    assert len(asked) == 2
    assert first[0] is first[2]
    assert again[0] is first[1]
    assert first[0].states.shape == (77, 32)
    assert not first[0].states.is_inference()  # gradients may pass by it
    assert not first[0].states.requires_grad


def test_an_encoding_is_that_of_txt2img(tiny, learner, tokenizer):
    model = tiny("sd1")
    (found,) = Texts(model, learner, tokenizer).encoded(["a photo of sks cat"])
    (known,) = model.encode([[caption_chunk("a photo of sks cat", tokenizer, {})]])
    assert torch.equal(found.states, known.states)


def test_what_learns_is_read_anew_with_gradients(fresh, plan_of, learner_of, tokenizer):
    model = fresh("sd1")
    model.text_encoder.requires_grad_(True)
    learner = learner_of(model, plan_of(), "text_encoder")
    texts = Texts(model, learner, tokenizer)
    (first,) = texts.encoded(["a cat"])
    first.states.sum().backward()
    assert any(one.grad is not None and one.grad.abs().sum() > 0 for one in model.text_encoder.parameters())
    with torch.no_grad():
        for one in model.text_encoder.parameters():
            one.add_(0.1)
    assert not torch.equal(texts.encoded(["a cat"])[0].states, first.states)


def test_memory_has_an_end(tiny, learner, tokenizer, monkeypatch):
    monkeypatch.setattr("modules.training.captions.MOST_KEPT", 3)
    texts = Texts(tiny("sd1"), learner, tokenizer)
    assert len(texts.encoded([f"cat {n}" for n in range(6)])) == 6
    assert len(texts._kept) == 3 < MOST_KEPT


def test_the_loops_lower_precision_does_not_reach_texts_that_are_kept(tiny, learner, tokenizer):
    (wanted,) = Texts(tiny("sd1"), learner, tokenizer).encoded(["a cat"])
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = Texts(tiny("sd1"), learner, tokenizer).encoded(["a cat"])
    assert torch.equal(found.states, wanted.states)
