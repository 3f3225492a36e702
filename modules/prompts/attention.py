r"""Attention: (more) [less] (so much:1.3), nested, with \( \) \[ \] \\ as literal characters and BREAK between chunks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

MORE = 1.1
LESS = 1 / 1.1
BREAK = "BREAK"
BREAK_WEIGHT = -1.0
MOST_DIRECT_WORK = 100_000

TOKEN = re.compile(
    r"""
      \\(?P<escaped>[()\[\]\\])                                             # a literal bracket or backslash
    | \\                                                                    # any other backslash is dropped
    | :\s*+(?P<weight>[+-]?+(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++))\s*+\)  # :1.3) without backtracking, which took minutes
    | (?P<bracket>[()\[\]])
    | (?P<text>[^\\()\[\]:]+|:)
    """,
    re.VERBOSE,
)
BREAK_WORD = re.compile(r"\bBREAK\b")


@dataclass(frozen=True)
class Piece:
    """A stretch of text and its weight; 1 is neutral. A break is Piece("BREAK", -1)."""

    text: str
    weight: float

    @property
    def is_break(self) -> bool:
        """Whether it closes a chunk. Inside brackets BREAK gets another weight and is a word like others: the field's way."""
        return self.text == BREAK and self.weight == BREAK_WEIGHT


@dataclass
class _Brackets:
    """The pieces so far, and which factor holds over which of them. Round and square brackets do not know each other."""

    texts: list[str] = field(default_factory=list[str])
    weights: list[float] = field(default_factory=list[float])
    open: dict[str, list[int]] = field(default_factory=lambda: {"(": [], "[": []})
    spans: list[tuple[int, int, float, str]] = field(default_factory=list[tuple[int, int, float, str]])

    def add(self, text: str, weight: float = 1.0) -> None:
        self.texts.append(text)
        self.weights.append(weight)

    def close(self, kind: str, factor: float) -> bool:
        """Close the last bracket of this kind; False when none is open."""
        if not self.open[kind]:
            return False
        self.spans.append((self.open[kind].pop(), len(self.texts), factor, kind))
        return True


def parse_attention(text: str) -> list[Piece]:
    r"""A prompt as weighted pieces, at least one. In time linear in its length, whatever it holds.

    >>> parse_attention("an (important) word")
    [Piece(text='an ', weight=1.0), Piece(text='important', weight=1.1), Piece(text=' word', weight=1.0)]
    >>> parse_attention(r"a \(literal\) [word")
    [Piece(text='a (literal) ', weight=1.0), Piece(text='word', weight=0.9090909090909091)]
    """
    brackets = _read(text)
    while brackets.close("(", MORE) or brackets.close("[", LESS):
        pass
    weights = _weighted(brackets)
    return list(_joined(brackets.texts, weights)) or [Piece("", 1.0)]


def uses_emphasis(prompt: str) -> bool:
    """Whether the way of emphasis can matter to a prompt."""
    return "(" in prompt or "[" in prompt


def _read(text: str) -> _Brackets:
    brackets = _Brackets()
    for token in TOKEN.finditer(text):
        match token.lastgroup:
            case "escaped":
                brackets.add(token["escaped"])
            case "weight" if brackets.close("(", float(token["weight"])):
                pass
            case "bracket":
                _read_bracket(token["bracket"], brackets)
            case "text":
                _read_text(token["text"], brackets)
            case "weight":  # no bracket is open: it is text
                brackets.add(token[0])
            case _:
                pass
    return brackets


def _read_bracket(bracket: str, brackets: _Brackets) -> None:
    if bracket in "([":
        brackets.open[bracket].append(len(brackets.texts))
    elif not (brackets.close("(", MORE) if bracket == ")" else brackets.close("[", LESS)):
        brackets.add(bracket)


def _read_text(text: str, brackets: _Brackets) -> None:
    """BREAK takes the white space around it along."""
    first, *others = BREAK_WORD.split(text)
    for before in others:
        brackets.add(first.rstrip())
        brackets.add(BREAK, BREAK_WEIGHT)
        first = before.lstrip()
    brackets.add(first)


def _weighted(brackets: _Brackets) -> list[float]:
    """Each piece's weight times the factors of all brackets around it."""
    if sum(end - start for start, end, _, _ in brackets.spans) > MOST_DIRECT_WORK:
        return _weighted_in_one_sweep(brackets)
    weights = list(brackets.weights)
    for start, end, factor, _ in brackets.spans:  # inner ones first: rounding decides which neighbours are joined
        for index in range(start, end):
            weights[index] *= factor
    return weights


def _weighted_in_one_sweep(brackets: _Brackets) -> list[float]:
    """The same but for rounding, for hostile depth: brackets of one kind nest, so a stack of products is enough."""
    products = {"(": [1.0], "[": [1.0]}
    opening: list[list[tuple[float, str]]] = [[] for _ in range(len(brackets.texts) + 1)]
    closing: list[list[str]] = [[] for _ in range(len(brackets.texts) + 1)]
    for start, end, factor, kind in reversed(brackets.spans):  # closed last means opened first, at one place
        if start < end:
            opening[start].append((factor, kind))
            closing[end].append(kind)
    weights: list[float] = []
    for index, weight in enumerate(brackets.weights):
        for kind in closing[index]:
            products[kind].pop()
        for factor, kind in opening[index]:
            products[kind].append(products[kind][-1] * factor)
        weights.append(weight * products["("][-1] * products["["][-1])
    return weights


def _joined(texts: list[str], weights: list[float]) -> Iterator[Piece]:
    """Neighbours of exactly equal weight as one."""
    for weight, group in groupby(zip(texts, weights, strict=True), key=lambda pair: pair[1]):
        yield Piece("".join(text for text, _ in group), weight)
