r"""The grammar of prompt editing and alternation: [from:to:N], [to:N], [from::N], [a|b|c], in one pass over the text.

text    any character but \ [ ] ( ) : |, or a backslash and any character but a line break
inside  text, switches, alternations, (inside), (inside:inside), [inside]
prompt  all of these, and any [ ] ( ) : that is part of none of them: such a mark is text

A bare | or a backslash before nothing is no prompt at all. The inside of what is only nearly a switch, as [a:b], is still
read. An outer bracket cannot be closed any more once a mark inside it turned out to be text, which is what makes one pass
with a stack enough; there is no recursion, so depth costs nothing.
"""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(r"(?P<text>(?:[^\\\[\]():|]|\\.)++)|(?P<mark>[\[\]():|])")
NUMBER = re.compile(
    r"[ \t\f\r\n]*+(?P<number>[+-]?+(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+)[ \t\f\r\n]*+"
)


@dataclass(frozen=True)
class Switch:
    """One text up to a step, another after it. `when` as it was written: with a dot it is a fraction of the steps."""

    before: "list[Node]"
    after: "list[Node]"
    when: str


@dataclass(frozen=True)
class Alternation:
    """Another text in every step, in turn."""

    options: "list[list[Node]]"


Node = str | Switch | Alternation


@dataclass(slots=True)
class _Open:
    """A bracket that waits for its end: where it stands among the nodes, and the marks directly inside it."""

    start: int
    square: bool
    colons: list[int] = field(default_factory=list[int])
    bars: list[int] = field(default_factory=list[int])


@dataclass
class _Reading:
    """The nodes so far, the open brackets around them, and how many | belong to nothing yet."""

    nodes: list[Node] = field(default_factory=list[Node])
    open: list[_Open] = field(default_factory=list[_Open])
    bars: int = 0

    def mark(self, mark: str) -> None:
        if mark in "[(":
            self.open.append(_Open(len(self.nodes), square=mark == "["))
        elif mark in ")]":
            self._close(square=mark == "]", mark=mark)
            return
        elif mark == "|":
            self.bars += 1
            if self.open:
                self.open[-1].bars.append(len(self.nodes))
        elif self.open:
            self.open[-1].colons.append(len(self.nodes))
        self.nodes.append(mark)

    def _close(self, *, square: bool, mark: str) -> None:
        """End the innermost bracket; when it cannot be ended so, this mark and all open brackets are text."""
        fits = bool(self.open) and self.open[-1].square == square
        if fits and self._reduce(self.open[-1], mark):
            self.open.pop()
        else:
            self.open.clear()
            self.nodes.append(mark)

    def _reduce(self, bracket: _Open, mark: str) -> bool:
        """Make a node of a bracket's inside, or leave it as text; False when it is neither."""
        if bracket.square and bracket.bars and not bracket.colons:
            self.bars -= len(bracket.bars)
            self._replace(bracket, Alternation(self._cut(bracket.start, [*bracket.bars, len(self.nodes)])))
            return True
        if bracket.square and bracket.colons:
            return not bracket.bars and self._switch(bracket)
        if bracket.bars or len(bracket.colons) > 1:
            return False
        self.nodes.append(mark)
        return True

    def _switch(self, bracket: _Open) -> bool:
        if len(bracket.colons) > 2:
            return False
        *texts, when = self._cut(bracket.start, [*bracket.colons, len(self.nodes)])
        number = NUMBER.fullmatch(when[0]) if len(when) == 1 and isinstance(when[0], str) else None
        if number:
            self._replace(bracket, Switch([] if len(texts) == 1 else texts[0], texts[-1], number["number"]))
        return number is not None

    def _cut(self, start: int, ends: list[int]) -> "list[list[Node]]":
        """What lies between the marks at `start` and `ends`."""
        return [self.nodes[a + 1 : b] for a, b in zip([start, *ends], ends, strict=False)]

    def _replace(self, bracket: _Open, node: Node) -> None:
        self.nodes[bracket.start :] = [node]


def parse(text: str) -> list[Node]:
    """A prompt as nodes; a text that is no prompt is one node. In time linear in its length.

    >>> parse("a [red:blue:5] cat")
    ['a ', Switch(before=['red'], after=['blue'], when='5'), ' cat']
    >>> parse("a [red|blue] cat | a dog")
    ['a [red|blue] cat | a dog']
    """
    if "[" not in text or "]" not in text:
        return [text]
    reading = _Reading()
    place = 0
    for token in TOKEN.finditer(text):
        if token.start() != place:
            return [text]
        place = token.end()
        if token.lastgroup == "text":
            reading.nodes.append(token[0])
        else:
            reading.mark(token[0])
    return reading.nodes if place == len(text) and not reading.bars else [text]
