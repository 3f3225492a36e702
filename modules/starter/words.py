"""The words of the starter world: what can be drawn and said, and what base training never sees."""

from dataclasses import dataclass

Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "red": (218, 50, 52),
    "orange": (243, 136, 38),
    "yellow": (248, 212, 62),
    "green": (74, 174, 82),
    "blue": (58, 112, 224),
    "purple": (146, 82, 196),
    "pink": (246, 142, 184),
    "brown": (134, 86, 52),
    "black": (50, 48, 60),
    "white": (246, 246, 248),
    "grey": (146, 150, 158),
}

ANIMALS = ("dog", "cat", "bird", "fish", "rabbit", "bear")
WEARERS = (*ANIMALS, "robot")

FULL_PLACES = (
    "on the grass",
    "in the jungle",
    "on the beach",
    "in the snow",
    "in the desert",
    "in the mountains",
    "in the city",
    "by the river",
    "in the ocean",
    "in space",
    "under the night sky",
    "on a wooden floor",
    "on a bed",
    "on a table",
    "by the window",
    "on a red carpet",
    "on a {colour} background",
    "in a sunflower field",
)


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The words that `random_spec` chooses among; a place may hold `{colour}`."""

    subjects: tuple[str, ...]
    colours: tuple[str, ...]
    places: tuple[str, ...]
    wear: tuple[str, ...]
    patterns: tuple[str, ...] = ("plain",)
    adjectives: tuple[str, ...] = ()
    styles: tuple[str, ...] = ("photo",)
    views: tuple[str, ...] = ("front",)
    counts: tuple[int, ...] = (1,)
    relations: tuple[str, ...] = ()


FIRST = Vocabulary(
    subjects=("cat", "dog", "bird", "fish", "robot", "car"),
    colours=("red", "orange", "yellow", "green", "blue", "purple", "white", "black"),
    places=("on the grass", "on the beach", "in the snow", "in the city", "in the ocean", "in space"),
    wear=("hat", "astronaut helmet"),
)

FULL = Vocabulary(
    subjects=(*ANIMALS, "robot", "car", "boat", "house", "clock", "vase", "teapot", "backpack"),
    colours=tuple(COLOURS),
    places=FULL_PLACES,
    wear=("hat", "scarf", "bow", "glasses", "crown", "astronaut helmet"),
    patterns=("plain", "striped", "spotted", "checkered"),
    adjectives=("cute", "realistic", "happy", "sad", "angry", "sleeping", "small", "large"),
    styles=("photo", "painting", "sketch", "pixel art", "illustration", "cinematic lighting"),
    views=("front", "side", "back"),
    counts=(1, 2, 3),
    relations=("left of", "right of", "above", "below", "next to"),
)

HELD_OUT_PLACES = frozenset(
    {
        ("dog", "in the ocean"),
        ("bird", "in the city"),
        ("fish", "in the snow"),
        ("robot", "on the beach"),
        ("car", "in space"),
        ("rabbit", "in the desert"),
        ("boat", "on the grass"),
        ("house", "in the jungle"),
        ("teapot", "by the river"),
        ("clock", "in the mountains"),
    }
)
HELD_OUT_COLOURS = frozenset(
    {
        ("cat", "blue"),
        ("dog", "purple"),
        ("bird", "black"),
        ("fish", "white"),
        ("robot", "orange"),
        ("car", "green"),
        ("rabbit", "red"),
        ("boat", "pink"),
        ("vase", "brown"),
        ("backpack", "grey"),
    }
)
HELD_OUT_WEARERS = frozenset({"bear"})
