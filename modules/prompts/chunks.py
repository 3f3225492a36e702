"""A prompt in chunks of 75 tokens, each between start and end: what CLIP's 77 places can take at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from modules.prompts.attention import Piece, parse_attention
from modules.prompts.tokens import Tokenizer

ROOM = 75
COMMA_BACKTRACK = 20


PLACEHOLDER = 0  # the token where a vector of a textual inversion goes
NO_EMBEDDINGS: Mapping[str, int] = {}


@dataclass(frozen=True)
class Inserted:
    """A textual inversion (Gal et al. 2022): its vectors take the places from `offset` on, counted over the 77 tokens."""

    offset: int
    name: str


@dataclass(frozen=True)
class Chunk:
    """77 tokens and the weight of each; start, end and padding weigh 1. Vectors that reach beyond the end are cut off."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]
    inserted: tuple[Inserted, ...] = ()


class _Slot(NamedTuple):
    """One of a chunk's 75 places. `inserted` names the embedding that begins here."""

    token: int
    weight: float
    inserted: str = ""


@dataclass(frozen=True)
class _Embedding:
    """A textual inversion by the tokens of its name."""

    tokens: list[int]
    name: str
    vectors: int


class _Embeddings:
    """Finds the names of textual inversions among tokens. Case does not count, for it does not to the tokenizer."""

    def __init__(self, vectors: tuple[tuple[str, int], ...], tokenizer: Tokenizer) -> None:
        self._by_first: dict[int, list[_Embedding]] = {}
        for name, count in vectors:
            tokens = tokenizer.encode(name)
            if tokens and count > 0:
                self._by_first.setdefault(tokens[0], []).append(_Embedding(tokens, name, count))
        for found in self._by_first.values():
            found.sort(key=lambda embedding: -len(embedding.tokens))

    def at(self, tokens: list[int], place: int) -> _Embedding | None:
        """The longest name that begins at this place."""
        for embedding in self._by_first.get(tokens[place], ()):
            if tokens[place : place + len(embedding.tokens)] == embedding.tokens:
                return embedding
        return None


_embeddings = lru_cache(maxsize=4)(_Embeddings)  # a prompt may hold hundreds of texts, and a folder thousands of names


@dataclass
class _Filling:
    """The closed chunks and the one that is being filled."""

    comma: int
    backtrack: int
    closed: list[list[_Slot]] = field(default_factory=list[list[_Slot]])
    open: list[_Slot] = field(default_factory=list[_Slot])
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
        self.open.append(_Slot(token, weight))

    def insert(self, embedding: _Embedding, weight: float) -> None:
        """The vectors of one embedding stay together: when they do not fit, the chunk ends before them."""
        if self.open and len(self.open) + embedding.vectors > ROOM:
            self.close()
        others = [_Slot(PLACEHOLDER, weight)] * (min(embedding.vectors, ROOM) - 1)
        self.open += [_Slot(PLACEHOLDER, weight, embedding.name), *others]

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
    embeddings: Mapping[str, int] = NO_EMBEDDINGS,
) -> list[Chunk]:
    """A prompt's chunks, at least one. `emphasis` "None" takes brackets as text. `pad` is the end token unless given.

    `comma_backtrack`: how many tokens back a full chunk may be broken at a comma; 0 is never.
    `embeddings`: the textual inversions there are, by name, and how many vectors each has.
    """
    filling = _filled(text, tokenizer, emphasis, comma_backtrack, embeddings)
    contents = [*filling.closed, filling.open] if filling.open or not filling.closed else filling.closed
    return [_chunk(content, tokenizer, pad) for content in contents]


def count(
    text: str,
    tokenizer: Tokenizer,
    *,
    emphasis: str = "Original",
    comma_backtrack: int = COMMA_BACKTRACK,
    embeddings: Mapping[str, int] = NO_EMBEDDINGS,
) -> tuple[int, int]:
    """(tokens, how many there is room for without another chunk). A closed chunk counts as full."""
    filling = _filled(text, tokenizer, emphasis, comma_backtrack, embeddings)
    used = ROOM * len(filling.closed) + len(filling.open)
    return used, ROOM * max(1, -(-used // ROOM))


def same_length(
    prompts: Sequence[Sequence[Chunk]], tokenizer: Tokenizer, *, pad: int | None = None
) -> list[list[Chunk]]:
    """The chunks of several prompts, the shorter ones filled up with empty chunks: they can be encoded together."""
    longest = max(map(len, prompts), default=0)
    empty = _chunk([], tokenizer, pad)
    return [[*prompt, *[empty] * (longest - len(prompt))] for prompt in prompts]


def _filled(
    text: str, tokenizer: Tokenizer, emphasis: str, comma_backtrack: int, embeddings: Mapping[str, int]
) -> _Filling:
    filling = _Filling(comma=tokenizer.comma, backtrack=comma_backtrack)
    known = _embeddings(tuple(embeddings.items()), tokenizer)
    pieces = [Piece(text, 1.0)] if emphasis == "None" else parse_attention(text)
    for piece in pieces:
        if piece.is_break:
            filling.close()
        else:
            _fill(filling, tokenizer.encode(piece.text), piece.weight, known)
    return filling


def _fill(filling: _Filling, tokens: list[int], weight: float, known: _Embeddings) -> None:
    place = 0
    while place < len(tokens):
        embedding = known.at(tokens, place)
        if embedding:
            filling.insert(embedding, weight)
            place += len(embedding.tokens)
        else:
            filling.add(tokens[place], weight)
            place += 1


def _chunk(content: list[_Slot], tokenizer: Tokenizer, pad: int | None) -> Chunk:
    padding = ROOM - len(content)
    tokens = (tokenizer.start, *(slot.token for slot in content), tokenizer.end)
    return Chunk(
        tokens=tokens + (tokenizer.end if pad is None else pad,) * padding,
        weights=(1.0, *(slot.weight for slot in content), 1.0) + (1.0,) * padding,
        inserted=tuple(Inserted(offset, slot.inserted) for offset, slot in enumerate(content, 1) if slot.inserted),
    )
