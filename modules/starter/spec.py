"""What one picture shows, and how such descriptions are drawn at random."""

from dataclasses import dataclass
from random import Random
from typing import Self

from modules.starter.words import (
    COLOURED_WEAR,
    HELD_OUT_COLOURS,
    HELD_OUT_PLACES,
    HELD_OUT_WEARERS,
    WEARERS,
    Vocabulary,
)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One picture in words; every slot is concrete, an empty text means 'none'.

    `identity` numbers the marks of one individual. It has no word and base training never sets it.
    `other` is a second subject, standing `relation` of it.
    """

    subject: str
    colour: str
    place: str
    wear: str = ""
    wear_colour: str = ""
    pattern: str = "plain"
    adjective: str = ""
    style: str = "photo"
    view: str = "front"
    count: int = 1
    relation: str = ""
    other: Self | None = None
    identity: int | None = None


def is_held_out(spec: Spec) -> bool:
    """Whether base training must never see this picture.

    >>> is_held_out(Spec(subject="cat", colour="blue", place="in space"))
    True
    """
    return (
        (spec.subject, spec.colour) in HELD_OUT_COLOURS
        or (spec.subject, spec.place) in HELD_OUT_PLACES
        or (spec.subject in HELD_OUT_WEARERS and bool(spec.wear))
        or (spec.other is not None and is_held_out(spec.other))
    )


def random_spec(rng: Random, words: Vocabulary, held_out: bool = False) -> Spec:
    """A random description of base training, or, on request, one of those that base training leaves out."""
    while True:
        spec = _any_spec(rng, words)
        if is_held_out(spec) == held_out:
            return spec


def _any_spec(rng: Random, words: Vocabulary) -> Spec:
    subject, colour = rng.choice(words.subjects), rng.choice(words.colours)
    wear = rng.choice(words.wear) if subject in WEARERS and rng.random() < 0.55 else ""
    return Spec(
        subject=subject,
        colour=colour,
        place=rng.choice(words.places).format(colour=rng.choice(words.colours)),
        wear=wear,
        wear_colour=_other_colour(rng, words, colour) if wear in COLOURED_WEAR else "",
    )


def _other_colour(rng: Random, words: Vocabulary, colour: str) -> str:
    return rng.choice([other for other in words.colours if other != colour])
