"""Captions: what a drawn picture says of itself, in varied words."""

from random import Random

from modules.prompts.wording import in_style, wearing, with_article
from modules.starter.spec import Spec

DROPPED = 0.3  # how often each optional slot is left out of a training caption
SYNONYMS: dict[str, tuple[str, ...]] = {
    "cat": ("kitty", "kitten"),
    "dog": ("puppy",),
    "car": ("automobile",),
    "rabbit": ("bunny",),
    "boat": ("ship",),
    "grey": ("gray",),
    "on the grass": ("on a lawn", "on a meadow"),
    "on the beach": ("at the seaside", "at the beach"),
    "in the snow": ("in a snowy landscape", "in winter"),
    "in the city": ("in a city", "in town"),
    "in the ocean": ("under water", "in the sea"),
    "in space": ("in outer space",),
}
SYNONYM_SHARE = 0.1
COUNTS = {2: "two", 3: "three"}
PLURALS = {"fish": ""}
VIEWS = {"front": "", "side": " seen from the side", "back": " seen from behind"}


def full_caption(spec: Spec) -> str:
    """Every slot in its plainest words: what is asked for when prompt following is measured.

    >>> full_caption(Spec(subject="cat", colour="red", place="in space", wear="astronaut helmet"))
    'a red cat wearing an astronaut helmet in space'
    """
    parts = [_noun(spec, spec.subject, spec.colour), wearing(spec.wear, spec.wear_colour), _beside(spec), spec.place]
    return in_style(" ".join(part for part in parts if part), spec.style)


def caption(spec: Spec, rng: Random) -> str:
    """A training caption: optional slots dropped with p = 0.3 each, order and words varied.

    >>> spec = Spec(subject="dog", colour="white", place="on the beach", wear="hat", wear_colour="red")
    >>> caption(spec, Random(0))
    'a white dog wearing a red hat'
    """
    noun = _noun(spec, _say(spec.subject, rng), "" if rng.random() < DROPPED else _say(spec.colour, rng))
    worn = "" if rng.random() < DROPPED else wearing(spec.wear, spec.wear_colour)
    place = "" if rng.random() < DROPPED else _say(spec.place, rng)
    if worn and spec.wear == "astronaut helmet" and spec.count == 1 and rng.random() < 0.3:
        noun, worn = _astronaut(noun), ""
    beside = " ".join(part for part in (worn, _beside(spec)) if part)
    tail = [beside, place] if rng.random() < 0.7 else [place, beside]
    words = " ".join(part for part in [noun, *tail] if part)
    if rng.random() >= DROPPED:
        words = in_style(words, spec.style)
    return f"a photo of {words}" if spec.style == "photo" and rng.random() < 0.2 else words


def _say(words: str, rng: Random) -> str:
    if words in SYNONYMS and rng.random() < SYNONYM_SHARE:
        return rng.choice(SYNONYMS[words])
    return words


def _noun(spec: Spec, subject: str, colour: str) -> str:
    """
    >>> _noun(Spec(subject="fish", colour="red", place="", pattern="striped", count=2), "fish", "red")
    'two striped red fish'
    >>> _noun(Spec(subject="cat", colour="red", place="", adjective="happy", view="side"), "cat", "red")
    'a happy red cat seen from the side'
    """
    pattern = "" if spec.pattern == "plain" else spec.pattern
    words = " ".join(word for word in (spec.adjective, pattern, colour, subject) if word)
    if spec.count > 1:
        return f"{COUNTS[spec.count]} {words}{PLURALS.get(subject, 's')}"
    return with_article(words) + VIEWS[spec.view]


def _astronaut(noun: str) -> str:
    """
    >>> _astronaut("a red cat")
    'a red astronaut cat'
    """
    *before, subject = noun.split()
    return with_article(" ".join([*before[1:], "astronaut", subject]))


def _beside(spec: Spec) -> str:
    if spec.other is None:
        return ""
    return f"{spec.relation} {_noun(spec.other, spec.other.subject, spec.other.colour)}"
