"""The number beside the prompt."""

import pytest

from modules.prompts.chunks import count
from modules.prompts.counting import longest_count

CATS = " ".join(["cat"] * 70)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", (0, 75)),
        ("a red cat", (3, 75)),
        ("a red cat # of the neighbours", (3, 75)),
        ("a <lora:fur:0.8>red cat", (3, 75)),
        ("[a red cat:a cat:0.5]", (3, 75)),
        ("[a cat:a very red cat:0.5]", (4, 75)),
        ("[a cat:a very red cat:1.5]", (2, 75)),  # never reached
        ("[cat|red cat|dog]", (2, 75)),
        ("a cat AND a very red dog", (4, 75)),
        (f"{CATS} AND {CATS}", (70, 75)),
        (f"{CATS} dog dog AND {CATS} dog dog dog dog dog dog", (76, 150)),
        ("a cat:2", (2, 75)),
        ("a BREAK b", (76, 150)),
        ("[a:b:0.5] | red", count_of := None),
    ],
)
def test_the_longest_of_all_texts_counts(tokenizer, prompt, expected):
    assert longest_count(prompt, tokenizer) == (expected or count(prompt, tokenizer))


def test_a_negative_prompt_is_not_split(tokenizer):
    assert longest_count("a cat AND a dog", tokenizer, positive=False) == (5, 75)
    assert longest_count("a cat:2", tokenizer, positive=False) == count("a cat:2", tokenizer)


def test_steps_decide_what_is_reached(tokenizer):
    assert longest_count("[a cat:a very red cat:30]", tokenizer, steps=20) == (2, 75)
    assert longest_count("[a cat:a very red cat:30]", tokenizer, steps=40) == (4, 75)


def test_embeddings_count_by_their_vectors(tokenizer):
    assert longest_count("a mystyle cat", tokenizer, embeddings={"mystyle": 8}) == (10, 75)


def test_emphasis_none_counts_brackets(tokenizer):
    assert longest_count("(cat)", tokenizer, emphasis="None") == (3, 75)


def test_of_very_many_texts_the_longest_is_among_the_counted(tokenizer):
    short = " AND ".join(f"cat {word}" for word in "abcdefghijklmnopqrstuvwxyz" for _ in range(2))
    many = " AND ".join(f"cat {first}{second}" for first in "abcdefgh" for second in "ijklmnop")
    assert longest_count(f"{short} AND {many} AND a very red cat on a mat", tokenizer) == (7, 75)
