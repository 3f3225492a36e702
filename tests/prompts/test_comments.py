"""Comments in prompts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.comments import without_comments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat", "a cat"),
        ("", ""),
        ("a\n# all of this line\nb", "a\nb"),
        ("a\n#one\n#two\n#three\nb", "a\nb"),
        ("#first\nb", "\nb"),
        ("a\n#last", "a\n"),
        ("#only", "\n"),
        ("a # the rest\nb", "a \nb"),
        ("a \\# no escape", "a \\"),
        ("a\n  # not at the start\nb", "a\n  \nb"),
        ("a\n#\n\nb", "a\n\nb"),
        ("(a:1.2)#\n[b|c]", "(a:1.2)\n[b|c]"),
    ],
)
def test_comments_vanish(text, expected):
    assert without_comments(text) == expected


@given(st.text(st.sampled_from("ab# \n\\") | st.characters(), max_size=80))
def test_nothing_of_a_comment_stays_and_nothing_else_goes(text):
    left = without_comments(text)
    assert "#" not in left
    kept = [line.partition("#")[0] for line in text.split("\n")]
    assert left.replace("\n", "") == "".join(kept)
    assert without_comments(left) == left
