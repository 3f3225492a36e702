"""A prompt in chunks of 75 tokens, each between start and end: what CLIP's 77 places can take at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from modules.prompts.attention import Piece, parse_attention
from modules.prompts.tokens import Tokenizer

ROOM = 75
COMMA_BACKTRACK = 20


@dataclass(frozen=True)
class Chunk:
    """77 tokens and the weight of each; start, end and padding weigh 1."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass
class _Filling:
    """The closed chunks, each a list of (token, weight), and the one that is being filled."""

    comma: int
    backtrack: int
    closed: list[list[tuple[int, float]]] = field(default_factory=list[list[tuple[int, float]]])
    open: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    last_comma: int | None = None

    def close(self, keep: int = ROOM) -> None:
        """Close the open chunk after `keep` tokens; the others begin the next one."""
        self.closed.append(self.open[:keep])
        self.open = self.open[keep:]
        self.last_comma = None

    def add(self, token: int, weight: float) -> None:
        if len(self.open) == ROOM:
            self.close(self._place_to_break(token))
        if token == self.comma:
            self.last_comma = len(self.open)
        self.open.append((token, weight))

    def _place_to_break(self, next_token: int) -> int:
        """After the last comma, when it is near enough; not within a phrase."""
        if next_token == self.comma or self.last_comma is None or ROOM - self.last_comma > self.backtrack:
            return ROOM
        return self.last_comma + 1


def chunks(
    text: str,
    tokenizer: Tokenizer,
    *,
    emphasis: str = "Original",
    comma_backtrack: int = COMMA_BACKTRACK,
    pad: int | None = None,
) -> list[Chunk]:
    """A prompt's chunks, at least one. `emphasis` "None" takes brackets as text. `pad` is the end token unless given.

    `comma_backtrack`: how many tokens back a full chunk may be broken at a comma; 0 is never.
    """
    filling = _filled(text, tokenizer, emphasis, comma_backtrack)
    contents = [*filling.closed, filling.open] if filling.open or not filling.closed else filling.closed
    return [_chunk(content, tokenizer, pad) for content in contents]


def count(
    text: str, tokenizer: Tokenizer, *, emphasis: str = "Original", comma_backtrack: int = COMMA_BACKTRACK
) -> tuple[int, int]:
    """(tokens, how many there is room for without another chunk). A closed chunk counts as full."""
    filling = _filled(text, tokenizer, emphasis, comma_backtrack)
    used = ROOM * len(filling.closed) + len(filling.open)
    return used, ROOM * max(1, -(-used // ROOM))


def same_length(
    prompts: Sequence[Sequence[Chunk]], tokenizer: Tokenizer, *, pad: int | None = None
) -> list[list[Chunk]]:
    """The chunks of several prompts, the shorter ones filled up with empty chunks: they can be encoded together."""
    longest = max(map(len, prompts), default=0)
    empty = _chunk([], tokenizer, pad)
    return [[*prompt, *[empty] * (longest - len(prompt))] for prompt in prompts]


def _filled(text: str, tokenizer: Tokenizer, emphasis: str, comma_backtrack: int) -> _Filling:
    filling = _Filling(comma=tokenizer.comma, backtrack=comma_backtrack)
    pieces = [Piece(text, 1.0)] if emphasis == "None" else parse_attention(text)
    for piece in pieces:
        if piece.is_break:
            filling.close()
            continue
        for token in tokenizer.encode(piece.text):
            filling.add(token, piece.weight)
    return filling


def _chunk(content: list[tuple[int, float]], tokenizer: Tokenizer, pad: int | None) -> Chunk:
    padding = ROOM - len(content)
    tokens = (tokenizer.start, *(token for token, _ in content), tokenizer.end)
    return Chunk(
        tokens=tokens + (tokenizer.end if pad is None else pad,) * padding,
        weights=(1.0, *(weight for _, weight in content), 1.0) + (1.0,) * padding,
    )
