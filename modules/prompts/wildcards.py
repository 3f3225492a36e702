"""Wildcards and variants drawn by lot: the same seed and lists give the same text, on every machine."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Protocol

from modules.prompts.choices import Choice, Node, Option, Wildcard, parse, weighted
from modules.prompts.networks import cut_networks

DEEPEST = 20  # a list may name a list that names a list ...; one that names itself has to end somewhere
MOST_DRAWS = 1000  # of lines, for one text


class Lists(Protocol):
    """Where wildcards come from: lines by name, as a dict has them. None when there is no such list."""

    def get(self, name: str, /) -> Sequence[str] | None: ...


def resolved(text: str, seed: int, wildcards: Lists) -> str:
    """A prompt with everything drawn. An unknown wildcard, or one too deep inside others, stays as it is written.

    >>> resolved("a {red|green|blue} __pet__", 1, {"pet": ["cat", "dog"]})
    'a red dog'
    """
    return _Lot(Random(seed), wildcards).drawn(text)


def has_choices(text: str) -> bool:
    """Whether anything in a prompt is drawn by lot."""
    return ("{" in text or "__" in text) and any(not isinstance(node, str) for node in parse(text))


def names_in(text: str) -> tuple[str, ...]:
    """The wildcards that stand in a prompt, each once; in a resolved one those that nobody knows.

    >>> names_in("__pet__ {on|__under__} a __pet__")
    ('pet', 'under')
    """
    found: dict[str, None] = {}
    waiting = list(reversed(parse(text))) if "__" in text else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, Wildcard):
            found[node.name] = None
        elif isinstance(node, Choice):
            waiting += [node for option in reversed(node.options) for node in reversed(option.nodes)]
    return tuple(found)


def remarks(texts: Iterable[str]) -> tuple[str, ...]:
    """What whoever asked should know of resolved texts: the wildcards in them that there are not.

    A network's file may have such a name; its tag is none.
    """
    unknown = {name: None for text in texts for name in names_in(cut_networks(text)[0])}
    return tuple(
        f"There is no wildcard {name!r} (no lines in wildcards/{name}.txt), or it is too deep inside others; __{name}__ stands in the prompt as it was written."
        for name in unknown
    )


@dataclass
class _Lines:
    """A list's lines, ready to be drawn from: `sums` are the weights added up."""

    texts: list[str]
    weights: list[float]
    sums: list[float]

    @classmethod
    def of(cls, lines: Iterable[tuple[float, str]]) -> "_Lines":
        pairs = list(lines)
        weights = [weight for weight, _ in pairs]
        if not any(weights):
            weights = [1.0] * len(pairs)
        return cls([text for _, text in pairs], weights, list(accumulate(weights)))


@dataclass
class _Lot:
    """The drawing of one text. Only `random()` is used: of all of Random's methods the one that Python promises to keep."""

    random: Random
    wildcards: Lists
    draws: int = 0
    known: dict[str, _Lines | None] = field(default_factory=dict[str, _Lines | None])

    def drawn(self, text: str) -> str:
        done: list[str] = []
        waiting = [(node, 0) for node in reversed(parse(text))]
        while waiting:
            node, depth = waiting.pop()
            if isinstance(node, str):
                done.append(node)
            elif isinstance(node, Choice):
                waiting += [(part, depth) for part in reversed(self._chosen(node))]
            else:
                line = self._line(node.name) if depth < DEEPEST else None
                if line is None:
                    done.append(node.written)
                else:
                    waiting += [(part, depth + 1) for part in reversed(parse(line))]
        return "".join(done)

    def _lines(self, name: str) -> _Lines | None:
        if name not in self.known:
            lines = self.wildcards.get(name)
            self.known[name] = _Lines.of(map(weighted, lines)) if lines else None
        return self.known[name]

    def _line(self, name: str) -> str | None:
        lines = self._lines(name)
        if lines is None or self.draws == MOST_DRAWS:
            return None
        self.draws += 1
        return lines.texts[_place(self.random.random(), lines.sums)]

    def _chosen(self, choice: Choice) -> list[Node]:
        """The nodes of the options that were drawn, with the separator between them."""
        options = self._options(choice)
        high = len(options) if choice.high is None else min(choice.high, len(options))
        low = min(choice.low, high)
        count = low + int(self.random.random() * (high - low + 1)) if low < high else low
        nodes: list[Node] = []
        for option in self._several(options, count):
            nodes += [choice.separator, *option.nodes] if nodes else option.nodes
        return nodes

    def _options(self, choice: Choice) -> list[Option]:
        """Those written down; of a wildcard alone the lines of its list, so that none comes twice."""
        only = choice.options[0].nodes if len(choice.options) == 1 else []
        lines = self._lines(only[0].name) if len(only) == 1 and isinstance(only[0], Wildcard) else None
        if lines is None or self.draws == MOST_DRAWS:
            return choice.options
        self.draws += 1
        return [Option(parse(text), weight) for text, weight in zip(lines.texts, lines.weights, strict=True)]

    def _several(self, options: list[Option], count: int) -> list[Option]:
        """Some of them in a drawn order, none twice."""
        weights = [option.weight for option in options]
        if not any(weights):
            weights = [1.0] * len(options)
        if count == 1:
            return [options[_place(self.random.random(), list(accumulate(weights)))]]
        # Efraimidis and Spirakis 2006: the first ones by random ** (1 / weight) are a draw by weight without replacement
        keys = [-math.log(1 - self.random.random()) / weight if weight else math.inf for weight in weights]
        return [options[place] for place in sorted(range(len(options)), key=keys.__getitem__)[:count]]


def _place(part: float, sums: list[float]) -> int:
    """The place in the sums of weights that a number from 0 to 1 falls on; never one of weight 0."""
    return min(bisect_right(sums, part * sums[-1]), bisect_right(sums, math.nextafter(sums[-1], 0)))
