"""The marks of one individual, which have no word. Base training never shows them; DreamBooth learns them."""

from random import Random

from modules.families.judge import Marks
from modules.starter.look import INK, Head, Look
from modules.starter.pen import Pen
from modules.starter.words import ANIMALS, COLOURS, Colour

GLOWING = ("yellow", "pink", "green", "orange", "blue", "white")


def mark(pen: Pen, look: Look, head: Head, subject: str, identity: int) -> None:
    """Draw the marks of the individual with this number; the same number always has the same ones."""
    rng = Random(f"identity {subject} {identity}")
    bright = COLOURS[rng.choice(GLOWING)]
    if subject in ANIMALS:
        _animal(pen, head, rng, bright)
    elif subject == "clock":
        _digit(pen, rng.randrange(10))
    elif subject == "vase":
        _zigzag(pen, bright)
    else:
        _badge(pen, look, rng, bright)


def marks_of(subject: str, identity: int, mirrored: bool = False) -> Marks:
    """What `mark` draws, in words; mirrored: in a picture where the subject stands the other way.

    >>> str(marks_of("clock", 3))
    'blue digit 9'
    """
    rng = Random(f"identity {subject} {identity}")
    bright = rng.choice(GLOWING)
    if subject == "clock":
        return Marks(kind=f"digit {rng.randrange(10)}", colour="blue")
    if subject == "vase":
        return Marks(kind="zigzag", colour=bright)
    side = rng.choice((-1, 1)) * (-1 if mirrored else 1)
    kind = "streak" if subject in ANIMALS else "badge"
    return Marks(kind=kind, colour=bright, side="right" if side > 0 else "left")


def _animal(pen: Pen, head: Head, rng: Random, bright: Colour) -> None:
    """A streak over half the face, a patch on one flank, an odd ear."""
    side = rng.choice((-1, 1))
    x, y = head.x + side * head.rx * 0.35, head.y - head.ry
    pen.polygon(
        [(x - 0.05, y + 0.06), (x + 0.07, y + 0.05), (x + 0.03, y + head.ry * 0.75), (x, y + head.ry * 0.8)], bright
    )
    pen.ellipse(head.x - side * 0.11, 0.74, 0.09, rng.uniform(0.08, 0.11), bright)
    pen.ellipse(head.x - side * head.rx * 0.82, head.y - head.ry * 0.82, 0.065, 0.075, bright)


DIGITS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")
LINES = {
    "a": ((-0.5, -1), (0.5, -1)),
    "b": ((0.5, -1), (0.5, 0)),
    "c": ((0.5, 0), (0.5, 1)),
    "d": ((-0.5, 1), (0.5, 1)),
    "e": ((-0.5, 0), (-0.5, 1)),
    "f": ((-0.5, -1), (-0.5, 0)),
    "g": ((-0.5, 0), (0.5, 0)),
}


def _digit(pen: Pen, digit: int) -> None:
    """One figure in seven segments on the clock's face."""
    for letter in DIGITS[digit]:
        (x0, y0), (x1, y1) = LINES[letter]
        pen.stroke([(0.15 * x0, 0.52 + 0.2 * y0), (0.15 * x1, 0.52 + 0.2 * y1)], 0.055, (30, 110, 200))


def _zigzag(pen: Pen, bright: Colour) -> None:
    points = [(-0.27 + 0.06 * n, 0.68 + (0.09 if n % 2 else 0)) for n in range(10)]
    pen.stroke(points, 0.05, bright)


def _badge(pen: Pen, look: Look, rng: Random, bright: Colour) -> None:
    """A round badge with a star of its own number of points."""
    x, y = rng.choice((-0.12, 0.12)), 0.66
    with pen.outlined(look.outline, look.width):
        pen.ellipse(x, y, 0.13, 0.13, bright)
    for n in range(rng.randint(2, 4)):
        pen.ellipse(x - 0.07 + 0.05 * n, y, 0.02, 0.05, INK)
