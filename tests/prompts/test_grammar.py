"""The one-pass reader of prompt editing against a grammar in lark, written from the same words, and its time."""

import random

import pytest
from lark import Lark
from lark.exceptions import LarkError
from prompts.timing import takes_linear_time

from modules.prompts.attention import parse_attention
from modules.prompts.comments import without_comments
from modules.prompts.composition import split_and
from modules.prompts.grammar import Alternation, Switch, parse
from modules.prompts.networks import cut_networks, renamed_networks
from modules.prompts.schedule import schedule

GRAMMAR = r"""
start: (_node | stray)*
_node: TEXT | switch | alternation | round | square
inside: _node*
switch.2: "[" [inside ":"] inside ":" NUMBER "]"
alternation.2: "[" inside ("|" inside)+ "]"
round.2: "(" inside [":" inside] ")"
square.2: "[" inside "]"
!stray.1: "[" | "]" | "(" | ")" | ":"
TEXT: /([^\\\[\]():|]|\\.)+/
NUMBER: /[ \t\f\r\n]*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t\f\r\n]*/
"""
reference = Lark(GRAMMAR, parser="earley", lexer="dynamic", ambiguity="explicit", maybe_placeholders=True)


def is_prompt(text):
    try:
        reference.parse(text)
    except LarkError:
        return False
    return True


def readings(tree):
    """Every way to read a text: the switches and alternations in it as (kind, number of parts), sorted."""
    if not hasattr(tree, "children"):
        return {()}
    children = [child for child in tree.children if child is not None]
    if tree.data == "_ambig":
        return set().union(*map(readings, children))
    found = {()}
    for child in children:
        found = {tuple(sorted(left + right)) for left in found for right in readings(child)}
    own = [(str(tree.data), len(children))] if tree.data in ("switch", "alternation") else []
    return {tuple(sorted([*reading, *own])) for reading in found}


def our_reading(nodes):
    found = []
    for node in nodes:
        if isinstance(node, Switch):
            found += [("switch", 0), *our_reading(node.before), *our_reading(node.after)]
        elif isinstance(node, Alternation):
            found += [
                ("alternation", len(node.options)),
                *(one for option in node.options for one in our_reading(option)),
            ]
    return tuple(sorted(found))


def without_count_of_switches(reading):
    return tuple(sorted((kind, 0 if kind == "switch" else count) for kind, count in reading))


DICE = random.Random(20261121)
FRAGMENTS = [*"[]():|\\a5 ", "[a:", "[a|", ":5]", "|b]", "[a:b:5]", "[a|b]", "(a:1)"]
SHORT = ["".join(DICE.choices(FRAGMENTS, k=DICE.randint(1, 6))) for _ in range(300)]


def test_what_is_a_prompt_at_all_is_what_the_grammar_says():
    for text in SHORT:
        assert (parse(f"[a:b:5]{text}") != [f"[a:b:5]{text}"]) == is_prompt(f"[a:b:5]{text}"), text


def test_of_all_readings_the_one_with_most_switches_and_alternations_is_taken():
    compared = 0
    for text in SHORT:
        if not is_prompt(text):
            continue
        possible = {without_count_of_switches(reading) for reading in readings(reference.parse(text))}
        ours = our_reading(parse(text))
        assert ours in possible, text
        assert len(ours) == max(map(len, possible)), text
        compared += len(ours)
    assert compared > 50  # the texts are not all trivial


# Time ----------------------------

N = 16_000
HOSTILE = {
    "open": "[" * N,
    "deep": "[" * N + "a" + ":b:5]" * N,
    "deep alternation": "[a|" * N + "]" * N,
    "deep and never closed": "[(" * N + "]" * N,
    "round": "(" * N + ":1.2)" * N,
    "crossing": "([)]" * N,
    "bars": "[" + "|" * N + "]",
    "nearly a switch": "[a:b:" * N + "5" + "]" * N,
    "colons": "[" + ":" * N + "5]",
    "spaces": "[a:b:" + " " * N + "x]",
    "digits": "[a:b:" + "1" * N + "x]",
    "backslashes": "[a]" + "\\" * (2 * N),
    "compositions": "a:1 AND " * N,
    "colons and spaces": ": " * N + "x",
    "tags": "<lora:a:1>" * N,
    "open tags": "<lora:" * N,
    "tags of one word": "<" + "a" * N,
    "comments": "#\n" * N,
    "comments in lines": "a#\n" * N,
}
READERS = {
    "comments": without_comments,
    "networks": cut_networks,
    "renaming": lambda text: renamed_networks(text, {"a": "b"}),
    "composition": split_and,
    "editing": lambda text: schedule(text, 3),
    "attention": parse_attention,
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear_in_length(name, reader):
    assert takes_linear_time(READERS[reader], HOSTILE[name])
