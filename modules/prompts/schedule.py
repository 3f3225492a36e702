"""Which text holds in which step: prompt editing and alternation worked out for a number of steps."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from modules.prompts.grammar import Alternation, Node, Switch, parse


@dataclass(frozen=True)
class Interval:
    """A text and the last step, counted from 1, for which it holds."""

    end_at: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Clock:
    """How times in a prompt are read.

    `steps`: of this pass, as calls of the denoiser.  `base_steps`: those of the first pass, when this is the second.
    `old`: as before A1111 1.6, where a number below 1 is a fraction and any other a step, in both passes.
    """

    steps: int
    base_steps: int | None = None
    old: bool = False

    def step(self, when: str) -> int:
        """The last step before the switch, at most `steps`; below 1 it lies in the past.

        >>> Clock(steps=100).step("0.58"), Clock(steps=20, base_steps=20).step("1.5"), Clock(steps=20).step("25")
        (57, 10, 20)
        """
        number = float(when)
        if self.old:
            step = number * self.steps if number < 1 else number
        elif "." in when:
            step = (number - (self.base_steps is not None)) * self.steps
        else:
            step = number - (self.base_steps or 0)
        return int(min(max(step, 0), self.steps))  # cut off, not rounded; infinity is cut off as well


def schedule(text: str, steps: int, *, base_steps: int | None = None, old: bool = False) -> tuple[Interval, ...]:
    """The texts of a prompt in ascending order, at least one; the last one ends at `steps`. See `Clock`.

    >>> schedule("a [red:blue:0.5] cat", 20)
    (Interval(end_at=10, text='a red cat'), Interval(end_at=20, text='a blue cat'))
    """
    nodes = parse(text)
    clock = Clock(steps=max(1, steps), base_steps=base_steps, old=old)
    return tuple(Interval(end, "".join(_text_at(nodes, end, clock))) for end in _ends(nodes, clock))


def _ends(nodes: list[Node], clock: Clock) -> list[int]:
    """The last step of each interval: one for each time in the prompt, reached or not, and all where texts alternate."""
    ends = {clock.steps}
    for node in _all(nodes):
        if isinstance(node, Alternation):
            return list(range(1, clock.steps + 1))
        if isinstance(node, Switch):
            ends.add(clock.step(node.when))
    return sorted(ends - {0})


def _all(nodes: Iterable[Node]) -> Iterator[Node]:
    """Every node at any depth."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, Switch):
            waiting += node.before + node.after
        elif isinstance(node, Alternation):
            for option in node.options:
                waiting += option


def _text_at(nodes: list[Node], step: int, clock: Clock) -> Iterator[str]:
    """The pieces of the text that holds in one step."""
    waiting = list(reversed(nodes))
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, Switch):
            waiting += reversed(node.before if step <= clock.step(node.when) else node.after)
        else:
            waiting += reversed(node.options[(step - 1) % len(node.options)])
