"""What one picture shows, and how such descriptions are drawn at random."""

from dataclasses import dataclass, replace
from math import prod
from random import Random
from typing import Self

from modules.prompts.wording import COLOURED_WEAR
from modules.starter.words import (
    ANIMALS,
    HELD_OUT_COLOURS,
    HELD_OUT_PLACES,
    HELD_OUT_WEARERS,
    WEARERS,
    Vocabulary,
)

FACES = ("cute", "happy", "sad", "angry", "sleeping")
TURNABLE = ("cat", "dog", "rabbit", "bear", "robot")


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


def is_seen(spec: Spec, slot: str) -> bool:
    """Whether a picture can show this at all: a sketch has no colours, and of two things neither is *the* subject.

    >>> sketch = Spec(subject="cat", colour="red", place="in space", style="sketch")
    >>> is_seen(sketch, "colour"), is_seen(sketch, "place")
    (False, True)
    """
    if slot in ("colour", "wear_colour") and spec.style == "sketch":
        return False
    return spec.other is None or slot in ("place", "style", "wear", "wear_colour")


def often(spec: Spec) -> float:
    """How often a picture is shown, in times that of one of a plain thing.

    >>> often(Spec(subject="cat", colour="red", place="in space", wear="hat", pattern="striped"))
    6.0
    """
    shares = {"wear": 4.0, "wear_colour": 1.5, "other": 5.0, "pattern": 1.5, "adjective": 1.2, "style": 1.3}
    special = {
        "wear": spec.wear,
        "wear_colour": spec.wear_colour,
        "other": spec.other,
        "pattern": spec.pattern != "plain",
        "adjective": spec.adjective,
        "style": spec.style != "photo",
    }
    return prod(share for name, share in shares.items() if special[name])


def random_spec(rng: Random, words: Vocabulary, held_out: bool = False) -> Spec:
    """A random description of base training, or, on request, one of those that base training leaves out."""
    while True:
        spec = _any_spec(rng, words)
        if is_held_out(spec) == held_out:
            return spec


def _any_spec(rng: Random, words: Vocabulary) -> Spec:
    subject, colour = rng.choice(words.subjects), rng.choice(words.colours)
    wear = rng.choice(words.wear) if subject in WEARERS and rng.random() < 0.55 else ""
    spec = Spec(
        subject=subject,
        colour=colour,
        place=_place(rng.choice(words.places), rng.choice(words.colours)),
        wear=wear,
        wear_colour=_other_colour(rng, words, colour) if wear in COLOURED_WEAR else "",
    )
    return _with_extras(rng, words, spec)


def _place(words: str, colour: str) -> str:
    """
    >>> _place("on a {colour} background", "orange")
    'on an orange background'
    """
    return words.format(colour=colour).replace("a orange", "an orange")


def _with_extras(rng: Random, words: Vocabulary, spec: Spec) -> Spec:
    """The slots that the first model does not know. Its vocabulary draws no random number here."""
    if len(words.patterns) > 1 and rng.random() < 0.4:
        spec = replace(spec, pattern=rng.choice(words.patterns))
    if len(words.styles) > 1 and rng.random() < 0.4:
        spec = replace(spec, style=rng.choice(words.styles))
    if words.adjectives and rng.random() < 0.4:
        choices = [word for word in words.adjectives if spec.subject in ANIMALS or word not in FACES]
        spec = replace(spec, adjective=rng.choice(choices))
    if len(words.views) > 1 and spec.subject in TURNABLE and not spec.wear and rng.random() < 0.3:
        spec = replace(spec, view=rng.choice(words.views))
    if words.relations and rng.random() < 0.1:
        return _with_other(rng, words, spec)
    if len(words.counts) > 1 and rng.random() < 0.15:
        spec = replace(spec, count=rng.choice(words.counts))
    return _undressed(spec) if spec.count > 1 or spec.adjective == "small" else spec


def _undressed(spec: Spec) -> Spec:
    """A hat of six pixels is none: only subjects of the usual size wear anything."""
    return replace(spec, wear="", wear_colour="")


def _with_other(rng: Random, words: Vocabulary, spec: Spec) -> Spec:
    """Beside a second subject of another kind."""
    kinds = [kind for kind in words.subjects if kind != spec.subject]
    other = Spec(subject=rng.choice(kinds), colour=_other_colour(rng, words, spec.colour), place=spec.place)
    return replace(_undressed(spec), relation=rng.choice(words.relations), other=other, adjective="")


def _other_colour(rng: Random, words: Vocabulary, colour: str) -> str:
    return rng.choice([other for other in words.colours if other != colour])
