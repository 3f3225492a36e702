"""Words that mean nothing yet, to stand for a subject: Ruiz et al. 2022, arXiv:2208.12242, §4.1, Rare-token Identifiers.

The paper looks such tokens up in T5's vocabulary: at most three letters, ids 5,000 to 10,000. In CLIP's vocabulary, which
is ordered by how often its pieces were joined, the last 9,000 are the rare ones.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from modules.core.training import AMBER, GREEN, Remark
from modules.prompts.tokens import Tokenizer

RAREST, RARE = 40_000, 10_000  # ids: above the first a token is rare, below the second it is common
LONGEST = 3  # letters
MOST_PIECES = 3  # "relatively short sequences of k = 1 … 3 work well"
END = "</w>"
COLOURS = """
red orange yellow green blue purple violet pink brown black white grey gray silver gold golden beige cyan magenta
turquoise teal navy maroon crimson scarlet ivory lavender olive tan indigo amber bronze copper
"""
KNOWN = {"sks": "'sks' is also the name of a rifle; if a gun appears in your pictures, choose another identifier."}


@dataclass(frozen=True, kw_only=True)
class Split:
    """How a text falls into tokens. `pieces` without the mark at the end of a word."""

    pieces: tuple[str, ...]
    ids: tuple[int, ...]

    @property
    def rare(self) -> bool:
        """Whether it is one token that hardly ever occurred."""
        return len(self.ids) == 1 and self.ids[0] >= RAREST


def split(text: str, tokenizer: Tokenizer) -> Split:
    """How a text falls into tokens."""
    pieces = tuple(piece.removesuffix(END) for piece in tokenizer.pieces(text))
    return Split(pieces=pieces, ids=tuple(tokenizer.encode(text)))


@lru_cache(maxsize=4)
def rare_tokens(tokenizer: Tokenizer) -> tuple[str, ...]:
    """Words of at most three letters that are one rare token each, the commonest first."""
    found = [
        (id, word)
        for token, id in tokenizer.vocabulary().items()
        if id >= RAREST and token.endswith(END) and _is_short(word := token.removesuffix(END))
    ]
    return tuple(word for _, word in sorted(found))


def suggestions(words: Collection[str], count: int, seed: int) -> list[str]:
    """Some of them, none twice: the same for the same seed, and the first ones of a longer list are those of a shorter."""
    left, chance = sorted(words), Random(seed)
    return [left.pop(int(chance.random() * len(left))) for _ in range(min(count, len(left)))]


def remarks(identifier: str, tokenizer: Tokenizer) -> list[Remark]:
    """What speaks against an identifier (§4.1): words have a meaning, colours colour, letters are drawn as letters."""
    word = identifier.strip().lower()
    known = split(word, tokenizer)
    if not known.ids:
        return [Remark(level=AMBER, kind="empty", message="There is no identifier; choose a rare token.")]
    if word in COLOURS.split():
        message = f"{word!r} is a colour: your subject and that colour will mix. Choose a rare token."
        return [Remark(level=AMBER, kind="colour", message=message)]
    if _is_common(word, known):
        message = f"{word!r} is a common word: the model has to unlearn what it means. Choose a rare token."
        return [Remark(level=AMBER, kind="common", message=message)]
    if len(known.ids) > 1:
        return _of_pieces(word, known)
    found = [Remark(level=GREEN, kind="known", message=KNOWN[word])] if word in KNOWN else []
    if not known.rare:
        message = f"{word!r} is one token, but not a rare one; the model may know something by that name."
        found.append(Remark(level=GREEN, kind="known", message=message))
    return found


def _is_short(word: str) -> bool:
    return 0 < len(word) <= LONGEST and word.isascii() and word.isalpha() and word.islower()


def _is_common(word: str, known: Split) -> bool:
    """One common token, or a plain word of two ("uni" "que")."""
    plain = re.fullmatch(r"[a-z]{4,}", word) is not None
    common = all(id < RARE for id in known.ids)
    return common and (len(known.ids) == 1 or (plain and len(known.ids) == 2))


def _of_pieces(word: str, known: Split) -> list[Remark]:
    shown = " · ".join(known.pieces[:12])
    letters = sum(len(piece) == 1 and piece.isalnum() for piece in known.pieces)
    if all(id >= RAREST for id in known.ids) and len(known.ids) <= MOST_PIECES:
        message = f"{word!r} is {len(known.ids)} rare tokens: {shown}."
        return [Remark(level=GREEN, kind="pieces", message=message)]
    what = "letters, which the model knows and may draw" if letters else "tokens with meanings of their own"
    message = f"{word!r} falls into {len(known.ids)} pieces: {shown}. They are {what}. Choose a rare token."
    return [Remark(level=AMBER, kind="letters" if letters else "pieces", message=message)]
