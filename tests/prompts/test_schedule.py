"""Prompt editing and alternation: the rows of the first two tables are observed behaviour, see tests/reference/README.md."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.schedule import Clock, schedule

OBSERVED = [  # prompt, steps, (last step, text); ... where the rest goes on in the same way
    ("test", 10, [(10, "test")]),
    ("a [b:3]", 10, [(3, "a "), (10, "a b")]),
    ("a [b : 3 ]", 10, [(3, "a "), (10, "a b ")]),
    ("[(a:2):3]", 10, [(3, ""), (10, "(a:2)")]),
    ("a [b : c : 1] d", 10, [(1, "a b  d"), (10, "a  c  d")]),
    ("a[b:[c:d:2]:1]e", 10, [(1, "abe"), (2, "ace"), (10, "ade")]),
    ("a [unbalanced", 10, [(10, "a [unbalanced")]),
    ("a [b:.5] c", 10, [(5, "a  c"), (10, "a b c")]),
    ("a [{b|d{:.5] c", 10, [(10, "a [{b|d{:.5] c")]),
    ("((a][:b:c [d:3]", 10, [(3, "((a][:b:c "), (10, "((a][:b:c d")]),
    ("[fe|||]male", 10, [(1, "female"), (2, "male"), (3, "male"), (4, "male"), (5, "female"), (6, "male"), ...]),
    ("[a:b:0.05]", 10, [(10, "b")]),
    ("[a:b:0]", 10, [(10, "b")]),
    ("[a:b:1]", 10, [(1, "a"), (10, "b")]),
    ("[a:b:1.0]", 10, [(10, "a")]),
    ("[a:b:1.5]", 10, [(10, "a")]),
    ("[a:b:11]", 10, [(10, "a")]),
    ("[a:b:0.99]", 10, [(9, "a"), (10, "b")]),
    ("[a:b:-1]", 10, [(10, "b")]),
    ("[a:b:3.7]", 10, [(10, "a")]),
    ("[a:b:1e0]", 10, [(1, "a"), (10, "b")]),
    ("[a::5]", 10, [(5, "a"), (10, "")]),
    ("[::5]", 10, [(5, ""), (10, "")]),
    ("x[a::3]y", 10, [(3, "xay"), (10, "xy")]),
    ("[ a : b : 5 ]", 10, [(5, " a "), (10, " b ")]),
    ("[a:b:5] [c:d:3]", 10, [(3, "a c"), (5, "a d"), (10, "b d")]),
    ("[[a:b:7]:c:3]", 10, [(3, "a"), (7, "c"), (10, "c")]),
    ("[a:[b:c:3]:7]", 10, [(3, "a"), (7, "a"), (10, "c")]),
    ("[a:[b:[c:d:8]:5]:2]", 10, [(2, "a"), (5, "b"), (8, "c"), (10, "d")]),
    ("[a|b]", 3, [(1, "a"), (2, "b"), (3, "a")]),
    ("[a:[b|c]:5]", 10, [(1, "a"), (2, "a"), (3, "a"), (4, "a"), (5, "a"), (6, "c"), ...]),
    ("(a [b:c:5]:1.2)", 10, [(5, "(a b:1.2)"), (10, "(a c:1.2)")]),
    ("[(a:1.2):(b:1.3):5]", 10, [(5, "(a:1.2)"), (10, "(b:1.3)")]),
    ("[[a]:5]", 10, [(5, ""), (10, "[a]")]),
    ("[a:b]", 10, [(10, "[a:b]")]),
    ("[a:b:c:5]", 10, [(10, "[a:b:c:5]")]),
    ("[|]", 10, [(1, ""), (2, ""), (3, ""), (4, ""), (5, ""), (6, ""), ...]),
    ("a | b [c:5]", 10, [(10, "a | b [c:5]")]),
    ("(a|b) [c:d:5]", 10, [(10, "(a|b) [c:d:5]")]),
    ("[a|b:5]", 10, [(10, "[a|b:5]")]),
    ("time 10:30 [a:b:5]", 10, [(5, "time 10:30 a"), (10, "time 10:30 b")]),
    ("\\[a:b:5\\]", 10, [(10, "\\[a:b:5\\]")]),
    ("[a\\:b:c:5]", 10, [(5, "a\\:b"), (10, "c")]),
    ("[a\\|b:c:5]", 10, [(5, "a\\|b"), (10, "c")]),
    ("[a:b:5]\\", 10, [(10, "[a:b:5]\\")]),
    ("[a:b:5] AND c", 10, [(5, "a AND c"), (10, "b AND c")]),
    ("[1:2]", 10, [(2, ""), (10, "1")]),
    ("[a [b:c:5]", 10, [(5, "[a b"), (10, "[a c")]),
    ("[[a:b:5]", 10, [(5, "[a"), (10, "[b")]),
    ("[a:b:0.5]", 1, [(1, "b")]),
    ("[a:b:0.5]", 7, [(3, "a"), (7, "b")]),
    ("[a|b]", 7, [(1, "a"), (2, "b"), (3, "a"), (4, "b"), (5, "a"), (6, "b"), (7, "a")]),
    ("[a:b:0.58]", 100, [(57, "a"), (100, "b")]),
    ("[a:b:0.333] [c:d:0.667]", 20, [(6, "a c"), (13, "b c"), (20, "b d")]),
]

OBSERVED_SECOND_PASS = [  # prompt, steps of the first and of the second pass, texts of the second
    ("a [b:.5] c", 10, 10, [(10, "a b c")]),
    ("a [b:.5] c", 20, 10, [(10, "a b c")]),
    ("a [b:1.5] c", 10, 10, [(5, "a  c"), (10, "a b c")]),
    ("a [b:1.5] c", 20, 10, [(5, "a  c"), (10, "a b c")]),
    ("a [b:1.0] c", 10, 10, [(10, "a b c")]),
    ("a [b:1.0] c", 20, 10, [(10, "a b c")]),
    ("a [b:1.25] c", 10, 10, [(2, "a  c"), (10, "a b c")]),
    ("a [b:1.25] c", 20, 10, [(2, "a  c"), (10, "a b c")]),
    ("a [b:2.0] c", 10, 10, [(10, "a  c")]),
    ("a [b:2.0] c", 20, 10, [(10, "a  c")]),
    ("a [b:5] c", 10, 10, [(10, "a b c")]),
    ("a [b:5] c", 20, 10, [(10, "a b c")]),
    ("a [b:15] c", 10, 10, [(5, "a  c"), (10, "a b c")]),
    ("a [b:15] c", 20, 10, [(10, "a b c")]),
    ("a [b:10] c", 10, 10, [(10, "a b c")]),
    ("a [b:10] c", 20, 10, [(10, "a b c")]),
    ("a [b:11] c", 10, 10, [(1, "a  c"), (10, "a b c")]),
    ("a [b:11] c", 20, 10, [(10, "a b c")]),
    ("a [b:25] c", 10, 10, [(10, "a  c")]),
    ("a [b:25] c", 20, 10, [(5, "a  c"), (10, "a b c")]),
    ("[a:b:1.75]", 10, 10, [(7, "a"), (10, "b")]),
    ("[a:b:1.75]", 20, 10, [(7, "a"), (10, "b")]),
    ("plain", 10, 10, [(10, "plain")]),
    ("plain", 20, 10, [(10, "plain")]),
    ("[a:[b:c:1.5]:0.5]", 10, 10, [(5, "b"), (10, "c")]),
    ("[a:[b:c:1.5]:0.5]", 20, 10, [(5, "b"), (10, "c")]),
]


def read(*args, **known):
    return [(interval.end_at, interval.text) for interval in schedule(*args, **known)]


@pytest.mark.parametrize(("text", "steps", "expected"), OBSERVED)
def test_texts_are_what_the_field_expects(text, steps, expected):
    found = read(text, steps)
    if expected[-1] is ...:
        assert len(found) == steps
        found, expected = found[: len(expected) - 1], expected[:-1]
    assert found == expected


@pytest.mark.parametrize(("text", "base", "steps", "expected"), OBSERVED_SECOND_PASS)
def test_the_second_pass_goes_on_where_the_first_ended(text, base, steps, expected):
    assert read(text, steps, base_steps=base) == expected


@pytest.mark.parametrize(
    ("text", "base", "expected"),
    [
        ("[a:b:0.5]", None, [(5, "a"), (10, "b")]),
        ("[a:b:0.5]", 20, [(5, "a"), (10, "b")]),
        ("[a:b:1.5]", None, [(1, "a"), (10, "b")]),
        ("[a:b:1.0]", None, [(1, "a"), (10, "b")]),
        ("[a:b:7]", 20, [(7, "a"), (10, "b")]),
        ("[a:b:0]", None, [(10, "b")]),
        ("[a:b:-1]", None, [(10, "b")]),
        ("[a:b:12]", None, [(10, "a")]),
    ],
)
def test_old_timelines_know_fractions_below_one_and_steps(text, base, expected):
    assert read(text, 10, base_steps=base, old=True) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[:5]", [(5, ""), (10, "")]),
        ("[a:b: 5\n]", [(5, "a"), (10, "b")]),
        ("[a:b:+5]", [(5, "a"), (10, "b")]),
        ("[a:b:5.e-1]", [(5, "a"), (10, "b")]),
        ("[a:b:1e999]", [(10, "a")]),
        ("[a:b:-1e999]", [(10, "b")]),
        ("[a:b:5x]", [(10, "[a:b:5x]")]),
        ("[a:b:(5)]", [(10, "[a:b:(5)]")]),
        ("[a:b:]", [(10, "[a:b:]")]),
        ("[a:b:٣]", [(10, "[a:b:٣]")]),
        ("[a:b:five] [c:d:5]", [(5, "[a:b:five] c"), (10, "[a:b:five] d")]),
        ("[a:b:5]]", [(5, "a]"), (10, "b]")]),
        ("[[a:b:x]:c:5]", [(10, "[[a:b:x]:c:5]")]),
        ("[(a:b:c):d:5]", [(10, "[(a:b:c):d:5]")]),
        ("[a] [(b:1.2):c:5] (d:e:f)", [(5, "[a] (b:1.2) (d:e:f)"), (10, "[a] c (d:e:f)")]),
        ("[(a]:b:5]", [(10, "[(a]:b:5]")]),
        ("a | [b:c:5]", [(10, "a | [b:c:5]")]),
        ("[a|[b|c:5]]", [(10, "[a|[b|c:5]]")]),
        ("[(a|b)|c]", [(10, "[(a|b)|c]")]),
        ("[a\\\n:b:5]", [(10, "[a\\\n:b:5]")]),
        ("[a\n:b\n:5]", [(5, "a\n"), (10, "b\n")]),
        ("]a:b:5[", [(10, "]a:b:5[")]),
    ],
)
def test_corners(text, expected):
    assert read(text, 10) == expected


def test_an_alternation_of_alternations_takes_turns_by_the_step():
    assert [text for _, text in read("[[a|b]|c|[d|e|f]]", 7)] == ["a", "c", "f", "b", "c", "f", "a"]


def test_no_steps_at_all_is_one():
    assert read("[a:b:0.5]", 0) == [(1, "b")]


@pytest.mark.parametrize(("when", "step"), [("0.58", 57), ("0.29", 28), ("57", 57), ("0.570000001", 57), ("1.", 100)])
def test_fractions_are_cut_off(when, step):
    assert Clock(steps=100).step(when) == step


def prompt_text(most):
    return st.text(st.sampled_from("[]():|\\ab1.5 \n") | st.characters(), max_size=most)


@given(prompt_text(60), st.integers(1, 40), st.none() | st.integers(1, 40), st.booleans())
def test_whatever_the_text_intervals_ascend_to_the_last_step(text, steps, base, old):
    found = schedule(text, steps, base_steps=base, old=old)
    ends = [interval.end_at for interval in found]
    assert ends == sorted(set(ends))
    assert ends[0] >= 1
    assert ends[-1] == steps
    for interval in found:  # texts hold nothing but letters of the prompt
        assert not set(interval.text) - set(text)


@given(prompt_text(40).filter(lambda text: "[" not in text))
def test_a_text_without_square_brackets_stays_as_it_is(text):
    assert read(text, 9) == [(9, text)]


@given(st.integers(1, 150), st.integers(-5, 200))
def test_a_switch_at_a_step_keeps_the_first_text_up_to_it(steps, when):
    texts = dict(_by_step(read(f"[a:b:{when}]", steps)))
    assert all(texts[step] == ("a" if step <= when else "b") for step in range(1, steps + 1))


def _by_step(intervals):
    start = 1
    for end, text in intervals:
        yield from ((step, text) for step in range(start, end + 1))
        start = end + 1
