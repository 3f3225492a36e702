"""AND: every row of OBSERVED is observed behaviour, see tests/reference/README.md."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.composition import Part, split_and

OBSERVED = [
    ("a AND b", [("a", 1), (" b", 1)]),
    ("a :1.2 AND b :0.5", [("a", 1.2), (" b", 0.5)]),
    ("a AND b:-1", [("a", 1), (" b", -1)]),
    ("AND", [("", 1), ("", 1)]),
    ("aANDb", [("aANDb", 1)]),
    ("a (b:1.3) AND c", [("a (b:1.3)", 1), (" c", 1)]),
    ("cat:1e2 AND dog", [("cat:1e2", 1), (" dog", 1)]),
    ("time 10:30", [("time 10", 30)]),
    ("[a AND b:0.5]", [("[a", 1), (" b:0.5]", 1)]),
    ("x_AND_y", [("x_AND_y", 1)]),
    ("x.AND.y", [("x.", 1), (".y", 1)]),
]


@pytest.mark.parametrize(("text", "expected"), OBSERVED)
def test_parts_are_what_the_field_expects(text, expected):
    assert [(part.text, part.weight) for part in split_and(text)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("", 1)]),
        ("a and b", [("a and b", 1)]),
        ("a AND AND b", [("a", 1), ("", 1), (" b", 1)]),
        ("a:.5", [("a", 0.5)]),
        ("a:5.", [("a", 5)]),
        ("a: +2 ", [("a", 2)]),
        ("a : - 2", [("a : - 2", 1)]),
        ("a:1.1.1", [("a:1.1.1", 1)]),
        ("a:", [("a:", 1)]),
        (":2", [("", 2)]),
        ("a::2", [("a:", 2)]),
        ("a\nAND\nb:2\n", [("a", 1), ("\nb", 2)]),
        ("a:٣", [("a:٣", 1)]),  # a digit, but not of ours
        ("a:" + "9" * 400, [("a:" + "9" * 400, 1)]),  # infinity would make a picture of NaN
    ],
)
def test_corners(text, expected):
    assert [(part.text, part.weight) for part in split_and(text)] == expected


@given(st.lists(st.text("ab :.1", max_size=8).map(str.rstrip), min_size=1, max_size=6))
def test_parts_come_back_with_their_weights(texts):
    written = "AND".join(f" {text}~ :0.25 " for text in texts)
    assert split_and(written) == tuple(Part(f" {text}~", 0.25) for text in texts)
