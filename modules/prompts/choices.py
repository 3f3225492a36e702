r"""The grammar of what is drawn by lot: {a|b}, {2::a|b}, {2$$a|b|c}, {1-2$$ and $$a|b|c}, __wildcard__.

Only | { } directly inside { } count: [a|b] inside stays prompt editing, and outside of { } nothing means anything. { } with
neither | nor $$ is text, as is a mark behind a backslash. One pass with a stack; there is no recursion. No group with a
look-ahead is repeated possessively: Python before 3.11.5 forgets what it has matched then.
"""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""
      \\.                                                       # whatever it is, it is text
    | __(?P<name>(?:(?!__)[\w\-./*?\ ]){1,200})__(?!_)
    | (?P<mark>[{}|\[\]])
    | (?:[^\\_{}|\[\]]++|_(?!_))+ | .
    """,
    re.VERBOSE | re.DOTALL,
)
COUNT = re.compile(r"\s*+(?:(?P<exactly>[0-9]{1,4})|(?P<low>[0-9]{0,4})-(?P<high>[0-9]{0,4}))\$\$")
SEPARATOR = re.compile(r"(?P<separator>.*?)\$\$", re.DOTALL)
WEIGHT = re.compile(r"\s*+(?P<weight>[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})::")


@dataclass(frozen=True)
class Wildcard:
    """A name whose line is drawn from a list, and how it was written."""

    name: str

    @property
    def written(self) -> str:
        """As it stands in the prompt."""
        return f"__{self.name}__"


@dataclass(frozen=True)
class Option:
    """One of several, and how often it is drawn compared with the others."""

    nodes: "list[Node]"
    weight: float = 1.0


@dataclass(frozen=True)
class Choice:
    """`low` to `high` of the options, joined by `separator`. `high` None: as many as there are."""

    options: list[Option]
    low: int = 1
    high: int | None = 1
    separator: str = ", "


Node = str | Wildcard | Choice


@dataclass(slots=True)
class _Brace:
    """An open {: where it stands, the | and the [ that are open directly inside it."""

    start: int
    bars: list[int] = field(default_factory=list[int])
    squares: list[int] = field(default_factory=list[int])

    def close_square(self) -> None:
        """[a|b] is none of ours: forget its |."""
        if self.squares:
            start = self.squares.pop()
            while self.bars and self.bars[-1] > start:
                self.bars.pop()


def parse(text: str) -> list[Node]:
    """A prompt as nodes. In time linear in its length.

    >>> parse("a {red|2::blue} cat, __mood__")
    ['a ', Choice(options=[Option(nodes=['red'], weight=1.0), Option(nodes=['blue'], weight=2.0)], low=1, high=1, separator=', '), ' cat, ', Wildcard(name='mood')]
    """
    nodes: list[Node] = []
    open_braces: list[_Brace] = []
    for token in TOKEN.finditer(text):
        mark = token["mark"]
        if mark == "{":
            open_braces.append(_Brace(len(nodes)))
        elif mark == "}" and open_braces:
            choice = _choice(nodes, open_braces.pop())
            if choice:
                nodes.append(choice)
                continue
        elif mark and open_braces:
            _note(mark, len(nodes), open_braces[-1])
        nodes.append(Wildcard(token["name"]) if token["name"] else token[0])
    return nodes


def weighted(text: str) -> tuple[float, str]:
    """How often a line is drawn, and the line.

    >>> weighted("3::red"), weighted("blue")
    ((3.0, 'red'), (1.0, 'blue'))
    """
    found = WEIGHT.match(text) if "::" in text else None
    return (float(found["weight"]), text[found.end() :]) if found else (1.0, text)


def _note(mark: str, place: int, brace: _Brace) -> None:
    if mark == "|":
        brace.bars.append(place)
    elif mark == "[":
        brace.squares.append(place)
    elif mark == "]":
        brace.close_square()


def _choice(nodes: list[Node], brace: _Brace) -> Choice | None:
    """The choice that ends here, cut from the nodes; None, and they stay as they are, when it is text."""
    first = nodes[brace.start + 1] if brace.start + 1 < len(nodes) else None
    count = COUNT.match(first) if isinstance(first, str) else None
    if not count and not brace.bars:
        return None
    ends = [*brace.bars, len(nodes)]
    parts = [nodes[a + 1 : b] for a, b in zip([brace.start, *brace.bars], ends, strict=True)]
    del nodes[brace.start :]
    if not count:
        return Choice([_option(part) for part in parts])
    rest = count.string[count.end() :]
    separator = SEPARATOR.match(rest)
    parts[0][0] = rest[separator.end() :] if separator else rest
    exactly = int(count["exactly"]) if count["exactly"] else None
    return Choice(
        [_option(part) for part in parts],
        low=int(count["low"] or 1) if exactly is None else exactly,
        high=(int(count["high"]) if count["high"] else None) if exactly is None else exactly,
        separator=separator["separator"] if separator else ", ",
    )


def _option(nodes: list[Node]) -> Option:
    """Spaces around an option do not belong to it."""
    weight = 1.0
    if nodes and isinstance(nodes[0], str):
        weight, text = weighted(nodes[0])
        nodes[0] = text.lstrip()
    if nodes and isinstance(nodes[-1], str):
        nodes[-1] = nodes[-1].rstrip()
    return Option([node for node in nodes if node != ""], weight)
