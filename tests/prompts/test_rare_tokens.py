"""Identifiers: the facts of CLIP's vocabulary, and the warnings of the DreamBooth paper."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.prompts.rare_tokens import RAREST, rare_tokens, remarks, split, suggestions


@pytest.fixture(scope="module")
def words(tokenizer):
    return rare_tokens(tokenizer)


def test_there_are_627_rare_tokens(words, tokenizer):
    assert len(words) == len(set(words)) == 627
    assert "sks" in words
    assert "ohwx" not in words  # four letters
    for word in words[::20]:
        known = split(word, tokenizer)
        assert known.rare
        assert known.pieces == (word,)
        assert known.ids[0] >= RAREST
        assert remarks(word, tokenizer) == [] or word == "sks"


@pytest.mark.parametrize(
    ("text", "pieces", "ids"),
    [
        ("sks", ["sks"], [48136]),
        ("ohwx", ["ohwx"], [47993]),
        ("zwx", ["z", "wx"], [89, 3561]),
        ("xxy5syt00", ["xx", "y", "5", "sy", "t", "0", "0"], None),
        ("special", ["special"], [1689]),
        ("unique", ["uni", "que"], [1107, 2319]),
        ("<sks-dog>", ["<", "sks", "-", "dog", ">"], None),
        ("", [], []),
    ],
)
def test_how_texts_split(text, pieces, ids, tokenizer):
    known = split(text, tokenizer)
    assert list(known.pieces) == pieces
    assert ids is None or list(known.ids) == ids


@pytest.mark.parametrize(
    ("identifier", "level", "kind", "said"),
    [
        ("special", "amber", "common", "common word"),  # D8
        ("unique", "amber", "common", "common word"),
        ("Cat", "amber", "common", "common word"),
        ("blue", "amber", "colour", "is a colour"),  # D9
        ("xxy5syt00", "amber", "letters", "falls into 7 pieces: xx · y · 5 · sy · t · 0 · 0. They are letters"),  # D10
        ("zwx", "amber", "letters", "2 pieces"),
        ("<sks-dog>", "amber", "pieces", "5 pieces"),
        ("", "amber", "empty", "no identifier"),
        ("sks", "green", "known", "rifle"),
        ("presley", "green", "known", "not a rare one"),
        ("sks usm", "green", "pieces", "2 rare tokens"),
    ],
)
def test_what_speaks_against_an_identifier(identifier, level, kind, said, tokenizer):
    (found,) = remarks(identifier, tokenizer)
    assert (found.level, found.kind) == (level, kind)
    assert said in found.message


def test_a_good_identifier_has_no_remark(tokenizer):
    assert remarks("ohwx", tokenizer) == remarks("usm", tokenizer) == []


def test_suggestions(words):
    assert suggestions(words, 10, 3) == suggestions(words, 20, 3)[:10]
    assert suggestions(words, 10, 3) != suggestions(words, 10, 4)
    assert sorted(suggestions(words, 9999, 1)) == sorted(words)  # none twice
    assert set(suggestions(words, 5, 1)) <= set(words)
    assert suggestions(words, 0, 1) == suggestions([], 5, 1) == []


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_text_can_be_asked_about(tokenizer, text):
    known = split(text, tokenizer)
    assert len(known.pieces) == len(known.ids) == len(tokenizer.encode(text))
    for one in remarks(text, tokenizer):
        assert one.level in ("green", "amber")
        assert one.message.endswith(".")
