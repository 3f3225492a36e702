"""Attention: every row is observed behaviour, see tests/reference/README.md."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.attention import Piece, parse_attention, uses_emphasis

OBSERVED = [
    ("", [("", 1.0)]),
    ("normal text", [("normal text", 1.0)]),
    ("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
    ("(unbalanced", [("unbalanced", 1.1)]),
    ("[unbalanced", [("unbalanced", 1 / 1.1)]),
    ("unbalanced)", [("unbalanced)", 1.0)]),
    ("((a)", [("a", 1.21)]),
    ("(a))", [("a", 1.1), (")", 1.0)]),
    ("(a [b)", [("a ", 1.1), ("b", 1.0)]),
    ("([a)]", [("a", 1.0)]),
    ("\\(literal\\]", [("(literal]", 1.0)]),
    ("\\\\(a)", [("\\", 1.0), ("a", 1.1)]),
    ("a\\b", [("ab", 1.0)]),
    ("(a\\:1.5)", [("a", 1.5)]),
    ("(smile :\\) :1.2)", [("smile :) ", 1.2)]),
    ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
    (
        "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
        [
            ("a ", 1.0),
            ("house", 1.3 * 1.21),
            (" ", 1.1),
            ("on", 1.0),
            (" a ", 1.1),
            ("hill", 0.55),
            (", sun, ", 1.1),
            ("sky", 1.1**4),
            (".", 1.1),
        ],
    ),
    ("((a))", [("a", 1.21)]),
    ("[[a]]", [("a", 1 / 1.21)]),
    ("([a])", [("a", 1.0)]),
    ("(a:1.2)", [("a", 1.2)]),
    ("(a:.5)", [("a", 0.5)]),
    ("(a:-1)", [("a", -1.0)]),
    ("(a : 1.2 )", [("a ", 1.2)]),
    ("(a:1.2", [("a:1.2", 1.1)]),
    ("a:1.2)", [("a:1.2)", 1.0)]),
    ("(:1.2)", [("", 1.0)]),
    ("((a:1.2):1.5)", [("a", 1.8)]),
    ("(a (b:1.5) c)", [("a ", 1.1), ("b", 1.65), (" c", 1.1)]),
    ("[a:1.2]", [("a:1.2", 1 / 1.1)]),
    ("([a]:1.5)", [("a", 1.5 / 1.1)]),
    ("(a:b)", [("a:b", 1.1)]),
    ("(a:b:1.2)", [("a:b", 1.2)]),
    ("(a:1e2)", [("a:1e2", 1.1)]),
    ("()", [("", 1.0)]),
    ("( )", [(" ", 1.1)]),
    ("a BREAK b", [("a", 1.0), ("BREAK", -1.0), ("b", 1.0)]),
    ("a BREAK BREAK b", [("a", 1.0), ("BREAK", -1.0), ("", 1.0), ("BREAK", -1.0), ("b", 1.0)]),
    ("BREAK", [("", 1.0), ("BREAK", -1.0), ("", 1.0)]),
    ("aBREAKb", [("aBREAKb", 1.0)]),
    ("(a BREAK b)", [("a", 1.1), ("BREAK", -1.1), ("b", 1.1)]),
    ("(a) BREAK (b)", [("a", 1.1), ("", 1.0), ("BREAK", -1.0), ("", 1.0), ("b", 1.1)]),
    ("a, BREAK, b", [("a,", 1.0), ("BREAK", -1.0), (", b", 1.0)]),
    ("a_BREAK b", [("a_BREAK b", 1.0)]),
    ("(a, (b, [c:1.3), d])", [("a, ", 1.1), ("b, ", 1.43), ("c", 1.3), (", d", 1.0)]),
    ("kaguya \\(character\\), (smile:1.3)", [("kaguya (character), ", 1.0), ("smile", 1.3)]),
    ("[a|b]", [("a|b", 1 / 1.1)]),
    ("(<lora:x:0.7>:1.2)", [("<lora:x:0.7>", 1.2)]),
]


@pytest.mark.parametrize(("text", "expected"), OBSERVED)
def test_pieces_are_what_the_field_expects(text, expected):
    found = parse_attention(text)
    assert [piece.text for piece in found] == [text for text, _ in expected]
    assert [piece.weight for piece in found] == pytest.approx([weight for _, weight in expected], rel=1e-9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(a:1.1.1)", [("a:1.1.1", 1.1)]),
        ("(a:..)", [("a:..", 1.1)]),
        ("(a:.)", [("a:.", 1.1)]),
        ("(a:)", [("a:", 1.1)]),
        ("(a:5.)", [("a", 5.0)]),
        ("(a:+1.5)", [("a", 1.5)]),
        ("(a:\u0661)", [("a:\u0661", 1.1)]),  # a digit, but not of ours
        ("\\", [("", 1.0)]),
        ("a\\", [("a", 1.0)]),
        (":", [(":", 1.0)]),
        ("a:BREAK", [("a:", 1.0), ("BREAK", -1.0), ("", 1.0)]),
        ("\nBREAK\n", [("", 1.0), ("BREAK", -1.0), ("", 1.0)]),
        ("(BREAK:1)", [("", 1.0), ("BREAK", -1.0), ("", 1.0)]),
        ("(a BREAK b:0)", [("aBREAKb", 0.0)]),
        ("]([)", [("]", 1.0)]),
    ],
)
def test_corners(text, expected):
    found = parse_attention(text)
    assert [(piece.text, pytest.approx(piece.weight)) for piece in found] == expected


def test_only_a_bare_break_is_a_break():
    assert [piece.is_break for piece in parse_attention("a BREAK b")] == [False, True, False]
    assert not any(piece.is_break for piece in parse_attention("(a BREAK b)"))
    assert not Piece("other", -1.0).is_break


def test_equal_weights_reached_on_different_ways_join_when_exactly_equal():
    assert parse_attention("x([y])z") == [Piece("xyz", 1.0)]


@pytest.mark.parametrize(("prompt", "expected"), [("a", False), ("(a)", True), ("[a|b]", True), ("a]", False)])
def test_emphasis_matters_only_with_brackets(prompt, expected):
    assert uses_emphasis(prompt) is expected


@pytest.mark.timeout(60)  # quadratic time would be hours
@pytest.mark.parametrize("pair", ["()", "[]", "([)]", "(a[b)]"])
@pytest.mark.parametrize("shape", ["nested", "in a row", "open", "closed"])
def test_deep_nesting_neither_recurses_nor_takes_long(pair, shape):
    half, n = len(pair) // 2, 100_000
    text = {
        "nested": f"{pair[:half]}a" * n + pair[half:] * n,
        "in a row": pair * n,
        "open": pair[:half] * n + "a",
        "closed": "a" + pair[half:] * n,
    }[shape]
    assert parse_attention(text)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", [":" * 10**5, ":1" * 10**5, ": 1" + " " * 10**5, ":" + "1" * 10**5, "\\" * 10**5])
def test_half_weights_take_no_longer(text):
    assert parse_attention("(" + text)


def bracket_text(most):
    return st.text(st.sampled_from("ab ()[]\\:1.-|,\n") | st.characters(), max_size=most)


@given(bracket_text(60))
def test_any_text_gives_pieces_of_nothing_but_its_own_letters(text):
    found = parse_attention(text)
    assert found
    rest = iter(text)
    assert all(letter in rest for piece in found for letter in piece.text)  # a subsequence


@given(st.text(st.characters(exclude_characters="()[]\\:", exclude_categories=["Cs"]), min_size=1))
def test_text_without_marks_stays_as_it_is(text):
    if "BREAK" not in text:
        assert parse_attention(text) == [Piece(text, 1.0)]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_escaped_text_comes_back(text):
    if "BREAK" not in text:
        escaped = "".join(f"\\{letter}" if letter in "()[]\\" else letter for letter in text)
        assert parse_attention(escaped) == [Piece(text, 1.0)]


@given(bracket_text(200))
def test_the_sweep_for_deep_nesting_agrees_with_direct_multiplication(text):
    direct = parse_attention(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modules.prompts.attention.MOST_DIRECT_WORK", -1)
        swept = parse_attention(text)
    assert _letters(swept) == [(letter, pytest.approx(weight, rel=1e-9)) for letter, weight in _letters(direct)]


def _letters(pieces):
    """Weight by letter: rounding may join neighbours in one way and not in the other."""
    return [(letter, piece.weight) for piece in pieces for letter in piece.text]
