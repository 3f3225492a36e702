"""Chunks: every row is observed behaviour, see tests/reference/README.md."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.prompts.chunks import Inserted, chunks, count, same_length


def times(word, n):
    return " ".join([word] * n)


OBSERVED = [  # prompt, backtrack, content tokens of each chunk, count, limit
    ("", 20, [0], 0, 75),
    ("a photo of a cat", 20, [5], 5, 75),
    ("a (photo:1.3) of [a] cat", 20, [5], 5, 75),
    ("a BREAK b", 20, [1, 1], 76, 150),
    ("BREAK", 20, [0], 75, 75),
    ("a BREAK BREAK b", 20, [1, 0, 1], 151, 225),
    ("(a BREAK b)", 20, [3], 3, 75),
    ("a, b, c", 20, [5], 5, 75),
    (times("cat", 75), 20, [75], 75, 75),
    (times("cat", 76), 20, [75, 1], 76, 150),
    (times("cat", 150), 20, [75, 75], 150, 150),
    (times("cat", 151), 20, [75, 75, 1], 151, 225),
    (f"{times('cat', 59)} cat, {times('dog', 20)}", 20, [61, 20], 95, 150),
    (f"{times('cat', 49)} cat, {times('dog', 30)}", 20, [75, 6], 81, 150),
    (f"{times('cat', 54)} cat, {times('dog', 25)}", 20, [56, 25], 100, 150),
    (f"{times('cat', 53)} cat, {times('dog', 25)}", 20, [75, 5], 80, 150),
    (f"{times('cat', 52)} cat, {times('dog', 25)}", 20, [75, 4], 79, 150),
    (f"{times('cat', 55)} cat, {times('dog', 19)}", 20, [57, 19], 94, 150),
    (f"{times('cat', 73)} cat, {times('dog', 5)}", 20, [75, 5], 80, 150),
    (f"{times('cat', 72)} cat, {times('dog', 5)}", 20, [74, 5], 80, 150),
    (f"{times('cat', 74)} cat, {times('dog', 5)}", 20, [75, 6], 81, 150),
    (f"{times('cat', 59)} cat, {times('dog', 20)}", 0, [75, 6], 81, 150),
    (f"{times('cat', 59)} cat, {times('dog', 20)}", 5, [75, 6], 81, 150),
    (f"{times('cat', 59)} cat, {times('dog', 20)}", 74, [61, 20], 95, 150),
    (f"{times('cat', 39)} cat, {times('dog', 19)} dog, {times('bird', 30)}", 20, [62, 30], 105, 150),
    (f"{times('cat', 30)} BREAK {times('dog', 80)}", 20, [30, 75, 5], 155, 225),
    (f"{times('cat', 75)} BREAK dog", 20, [75, 1], 76, 150),
    ("(a:1.3) [b] (c:0)", 20, [3], 3, 75),
    ("(a:1.3) [b]", 20, [2], 2, 75),
]


def content(chunk, tokenizer):
    """The tokens between start and the first end."""
    return chunk.tokens[1 : chunk.tokens.index(tokenizer.end)]


@pytest.mark.parametrize(("prompt", "backtrack", "contents", "used", "limit"), OBSERVED)
def test_chunks_are_what_the_field_expects(tokenizer, prompt, backtrack, contents, used, limit):
    found = chunks(prompt, tokenizer, comma_backtrack=backtrack)
    assert [len(content(chunk, tokenizer)) for chunk in found] == contents
    assert count(prompt, tokenizer, comma_backtrack=backtrack) == (used, limit)


STYLES = {"mystyle": 3, "my style two": 1}
OBSERVED_WITH_EMBEDDINGS = [
    ("a mystyle cat", [5], 5, 75),
    ("(mystyle:1.2), cat", [5], 5, 75),
    ("my style two", [1], 1, 75),
    ("mystyle mystyle", [6], 6, 75),
    (f"{times('cat', 73)} mystyle dog", [73, 4], 79, 150),
    (f"{times('cat', 74)} mystyle", [74, 3], 78, 150),
    ("MyStyle", [3], 3, 75),
]


@pytest.mark.parametrize(("prompt", "contents", "used", "limit"), OBSERVED_WITH_EMBEDDINGS)
def test_embeddings_take_the_places_the_field_expects(tokenizer, prompt, contents, used, limit):
    found = chunks(prompt, tokenizer, embeddings=STYLES)
    assert [len(content(chunk, tokenizer)) for chunk in found] == contents
    assert count(prompt, tokenizer, embeddings=STYLES) == (used, limit)


def test_an_embedding_says_where_its_vectors_go(tokenizer):
    first, second = chunks(f"{times('cat', 73)} (mystyle:1.5) dog MYSTYLE", tokenizer, embeddings=STYLES)
    assert first.inserted == ()
    assert second.inserted == (Inserted(1, "mystyle"), Inserted(5, "mystyle"))
    assert second.tokens[1:4] == (0, 0, 0)
    assert second.weights[:5] == (1.0, 1.5, 1.5, 1.5, 1.0)


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("red car park", ["red car park"]),
        ("red car par", ["red car"]),
        ("red red car", ["red", "red car"]),
        ("redcar", []),
        ("infrared", []),
        ("red(car)", ["red"]),  # names do not reach across brackets
        ("red, car", ["red"]),
    ],
)
def test_the_longest_name_wins_and_none_begins_inside_a_word(tokenizer, prompt, names):
    known = {"red": 2, "red car": 1, "red car park": 4, "empty": 0, "": 3}
    (chunk,) = chunks(prompt, tokenizer, embeddings=known)
    assert [inserted.name for inserted in chunk.inserted] == names


def test_an_embedding_moves_along_with_its_phrase(tokenizer):
    first, second = chunks(f"{times('cat', 69)}, mystyle dog dog dog", tokenizer, embeddings=STYLES)
    assert first.inserted == ()
    assert second.inserted == (Inserted(1, "mystyle"),)
    assert len(content(first, tokenizer)) == 70


def test_vectors_that_no_chunk_can_hold_are_cut(tokenizer):
    (chunk,) = chunks("huge", tokenizer, embeddings={"huge": 100})
    assert chunk.tokens == (tokenizer.start, *(0,) * 75, tokenizer.end)
    assert count("huge", tokenizer, embeddings={"huge": 100}) == (75, 75)
    assert [len(content(one, tokenizer)) for one in chunks("a huge a", tokenizer, embeddings={"huge": 100})] == [
        1,
        75,
        1,
    ]


def test_without_emphasis_brackets_are_text(tokenizer):
    found = chunks("(a:1.3)", tokenizer, emphasis="None")
    assert [len(content(chunk, tokenizer)) for chunk in found] == [7]
    assert set(found[0].weights) == {1.0}
    assert count("(a:1.3)", tokenizer, emphasis="None") == (7, 75)


def test_pieces_are_tokenised_apart(tokenizer):
    joined, apart = chunks("catdog", tokenizer), chunks("cat(dog)", tokenizer)
    assert content(apart[0], tokenizer) == (*tokenizer.encode("cat"), *tokenizer.encode("dog"))
    assert joined != apart


def test_weights_stand_where_their_tokens_stand(tokenizer):
    (chunk,) = chunks("a (red:1.5) cat", tokenizer)
    assert chunk.weights == (1.0, 1.0, 1.5, 1.0) + (1.0,) * 73
    assert chunk.tokens[2:3] == tuple(tokenizer.encode("red"))


def test_weights_move_along_with_a_phrase(tokenizer):
    first, second = chunks(f"{times('cat', 70)}, ({times('dog', 10)}:1.5)", tokenizer)
    assert set(first.weights) == {1.0}
    assert second.weights == (1.0,) + (1.5,) * 10 + (1.0,) * 66


def test_a_chunk_is_padded_with_end_tokens_unless_told_otherwise(tokenizer):
    (plain,) = chunks("a cat", tokenizer)
    (zeros,) = chunks("a cat", tokenizer, pad=0)
    assert plain.tokens == (tokenizer.start, 320, 2368, *(tokenizer.end,) * 74)
    assert zeros.tokens == (tokenizer.start, 320, 2368, tokenizer.end, *(0,) * 73)


def test_shorter_prompts_get_empty_chunks(tokenizer):
    long, short = same_length([chunks("a BREAK b", tokenizer), chunks("a", tokenizer)], tokenizer)
    assert len(long) == len(short) == 2
    assert short[1] == chunks("", tokenizer)[0]
    assert same_length([], tokenizer) == []


@settings(deadline=None, max_examples=60)
@given(
    prompt=st.text(st.sampled_from("ab,()[]:1 ") | st.characters(exclude_categories=["Cs"]), max_size=300),
    backtrack=st.integers(0, 74),
)
def test_no_token_gets_lost(tokenizer, prompt, backtrack):
    found = chunks(prompt, tokenizer, comma_backtrack=backtrack)
    assert all(len(chunk.tokens) == len(chunk.weights) == 77 for chunk in found)
    assert all(chunk.tokens[0] == tokenizer.start and chunk.tokens[-1] == tokenizer.end for chunk in found)
    without = chunks(prompt, tokenizer, comma_backtrack=0)
    assert [token for chunk in found for token in content(chunk, tokenizer)] == [
        token for chunk in without for token in content(chunk, tokenizer)
    ]
    used, limit = count(prompt, tokenizer, comma_backtrack=backtrack)
    assert limit % 75 == 0
    assert used <= limit == 75 * len(found)
