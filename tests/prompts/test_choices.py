"""Variants and wildcards: what is drawn, from what, and that it is the same every time."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompts.timing import takes_linear_time

from modules.prompts.choices import Choice, Wildcard, parse
from modules.prompts.schedule import schedule
from modules.prompts.wildcards import MOST_DRAWS, has_choices, names_in, remarks, resolved

LISTS = {
    "pet": ["cat", "dog", "{red|blue} fish"],
    "colours/warm": ["red", "orange"],
    "often": ["3::red", "blue"],
    "never": ["0::red", "blue"],
    "nobody": ["0::red", "0::blue"],
    "outer": ["__inner__ hat"],
    "inner": ["green"],
    "me": ["__me__!"],
    "twice": ["__twice__ __twice__"],
    "empty": [],
    "my list": ["x"],
    "a_b": ["under"],
}


def outcomes(text, draws=300):
    return Counter(resolved(text, seed, LISTS) for seed in range(draws))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a {red|blue} cat", {"a red cat", "a blue cat"}),
        ("{a|b} {c|d}", {"a c", "a d", "b c", "b d"}),
        ("{|a}", {"", "a"}),
        ("{ a\n| b }", {"a", "b"}),
        ("{{a|b}|{c|d}}", {"a", "b", "c", "d"}),
        ("{a {b|c}|d}", {"a b", "a c", "d"}),
        ("{2$$a|b|c}", {"a, b", "a, c", "b, a", "b, c", "c, a", "c, b"}),
        ("{2$$ and $$a|b}", {"a and b", "b and a"}),
        ("{1-2$$+$$a|b}", {"a", "b", "a+b", "b+a"}),
        ("{-2$$a|b}", {"a", "b", "a, b", "b, a"}),
        (
            "{2-$$-$$a|b|c}",
            {"a-b", "a-c", "b-a", "b-c", "c-a", "c-b"}
            | {f"{x}-{y}-{z}" for x, y, z in ("abc", "acb", "bac", "bca", "cab", "cba")},
        ),
        ("{9$$a|b}", {"a, b", "b, a"}),
        ("{0$$a|b}", {""}),
        ("{2-1$$a|b}", {"a", "b"}),
        ("{1$$a}", {"a"}),
        ("{3::a|0::b}", {"a"}),
        ("{0::a|0::b}", {"a", "b"}),
        ("{2$$0::a|1::b|1::c}", {"b, c", "c, b"}),
        ("__pet__", {"cat", "dog", "red fish", "blue fish"}),
        ("__colours/warm__", {"red", "orange"}),
        ("{__inner__|x}", {"green", "x"}),
        ("{2$$__colours/warm__}", {"red, orange", "orange, red"}),
        ("{1-2$$ or $$__colours/warm__}", {"red", "orange", "red or orange", "orange or red"}),
        ("{2$$__never__}", {"blue, red"}),
        ("__outer__", {"green hat"}),
        ("__never__", {"blue"}),
        ("__nobody__", {"red", "blue"}),
        ("__my list__", {"x"}),
        ("__a_b__", {"under"}),
        ("[__inner__:{a|b}:0.5]", {"[green:a:0.5]", "[green:b:0.5]"}),
        ("({a|b}:1.2)", {"(a:1.2)", "(b:1.2)"}),
        ("{[a|b]|c}", {"[a|b]", "c"}),
        ("{[a:{x|y}:3]|c}", {"[a:x:3]", "[a:y:3]", "c"}),
        ("{a [b|c}", {"a [b", "c"}),
        ("{a]|b}", {"a]", "b"}),
        ("<lora:{a|b}:1>", {"<lora:a:1>", "<lora:b:1>"}),
        ("{a\\|b|c}", {"a\\|b", "c"}),
    ],
)
def test_what_can_be_drawn(text, expected):
    assert set(outcomes(text)) == expected
    assert has_choices(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a cat",
        "[a|b]",
        "(a|b)",
        "{a}",
        "{}",
        "{a",
        "a}",
        "{a|b",
        "a|b}",
        "\\{a|b}",
        "{a|b\\}",
        "_a_",
        "__",
        "____",
        "__a",
        "a__",
        "[a:b:0.5] (c:1.2) AND d",
        "{$$a}",
        "__-->__",
        "{x$$a}",
    ],
)
def test_everything_else_is_text(text):
    assert not has_choices(text)
    assert resolved(text, 1, LISTS) == text


@pytest.mark.parametrize("text", ["__nobody knows__", "a __x/y__ b", "__empty__", "__*__"])
def test_an_unknown_wildcard_stays_and_can_be_named(text):
    assert resolved(text, 1, LISTS) == text
    assert has_choices(text)
    assert names_in(text) == (text.split("__")[1],)


def test_names_are_found_anywhere_once():
    assert names_in("__a__ {__b__|x {__c__|__a__}} [__d__|e]") == ("a", "b", "c", "d")
    assert names_in("{a|b}") == ()


def test_remarks_name_what_is_missing_and_leave_network_tags_alone():
    assert [text.split("'")[1] for text in remarks(["a __x__ b", "__x__ {__y__|c}", "<lora:my__own__file:1>"])] == [
        "x",
        "y",
    ]
    assert remarks([]) == ()


@pytest.mark.parametrize(
    ("text", "red"), [("{3::red|blue}", 0.75), ("__often__", 0.75), ("{red|blue}", 0.5), ("{.5::red|1.5::blue}", 0.25)]
)
def test_weights_are_frequencies(text, red):
    n = 4000
    assert outcomes(text, n)["red"] / n == pytest.approx(red, abs=4 * (red * (1 - red) / n) ** 0.5)


def test_several_are_drawn_by_weight_and_all_orders_come_up():
    n = 4000
    first = Counter(text.split(", ")[0] for text, times in outcomes("{2$$2::a|b|c}", n).items() for _ in range(times))
    assert first["a"] / n == pytest.approx(0.5, abs=0.04)
    assert len(outcomes("{3$$a|b|c}", n)) == 6


def test_a_list_that_names_itself_ends():
    assert resolved("__me__", 1, LISTS).endswith("__me__" + "!" * 20)
    text = resolved("__twice__", 1, LISTS)
    assert text.count("__twice__") <= MOST_DRAWS + 2


def test_recorded_draws():
    """Stability over platforms and releases: these come from Python's random.random(), which Python promises to keep."""
    text = "{red|green|blue} {2$$a|b|c} __pet__"
    expected = ["blue c, b dog", "red c, b dog", "blue b, c blue fish", "red a, c cat", "red c, a dog"]
    assert [resolved(text, seed, LISTS) for seed in (0, 1, 2, 965400086, 2**63 - 1)] == expected


@given(st.text(st.sampled_from("{}|[]$_:12a -\\") | st.characters(), max_size=60), st.integers(0, 2**63))
def test_whatever_the_text_the_same_seed_draws_the_same_and_nothing_is_left_to_draw(text, seed):
    once = resolved(text, seed, LISTS)
    assert resolved(text, seed, LISTS) == once
    if not has_choices(text):
        assert once == text


@given(
    st.lists(st.text("abc:[]() ", min_size=1, max_size=6).map(str.strip), min_size=2, max_size=5), st.integers(0, 99)
)
def test_what_is_drawn_is_one_of_the_options(options, seed):
    options = [option for option in options if option.count("[") == option.count("]") == 0]
    if len(options) > 1 and not any("::" in option for option in options):
        assert resolved("{" + "|".join(options) + "}", seed, {}) in options


def test_drawing_comes_before_editing_and_does_not_disturb_it():
    text = resolved("[{a|b}|c] [d:e:0.5]", 3, {})
    assert text in ("[a|c] [d:e:0.5]", "[b|c] [d:e:0.5]")
    assert len(schedule(text, 4)) == 4


def test_the_tree():
    assert parse("__a__ {b|c}")[0] == Wildcard("a")
    assert isinstance(parse("__a__ {b|c}")[2], Choice)


N = 16_000
HOSTILE = [
    "{" * N,
    "{a|" * N + "}" * N,
    "{" + "|" * N + "}",
    "__" * N,
    "__a" * N,
    "_" * N,
    "{[|" * N + "}" * N,
    "{9999$$" + "1::a|" * N + "}",
    "{" + "[" * N + "|" * N + "}",
    "{1$$" + "$" * N + "}",
    "\\" * N,
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_time_is_linear_in_length(text):
    assert takes_linear_time(lambda text: resolved(text, 1, LISTS), text)
