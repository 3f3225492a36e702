"""How one subject is coloured, and faces, which all subjects share."""

from dataclasses import dataclass

from modules.starter.pen import Pen, bezier, darker, lighter, mix
from modules.starter.words import Colour

INK: Colour = (44, 32, 52)
PALE: Colour = (214, 212, 226)
CREAM: Colour = (255, 248, 236)
MOODS = ("happy", "sad", "angry", "sleeping")


@dataclass(frozen=True, kw_only=True)
class Look:
    """How one subject is drawn. width: of the outline, in pixels of the enlarged image; mood: a word of `MOODS` or "".

    eyes: size of the eyes, 1 is usual.  faceless: seen from behind.
    """

    base: Colour
    light: Colour
    dark: Colour
    outline: Colour
    width: float
    mood: str = ""
    eyes: float = 1.0
    faceless: bool = False


@dataclass(frozen=True, kw_only=True)
class Head:
    """Where a hat or a helmet goes, in subject coordinates."""

    x: float
    y: float
    rx: float
    ry: float


def look_of(base: Colour, width: float) -> Look:
    """Dark subjects get a pale outline, all others a dark one: a white dog in snow is unreadable without."""
    is_dark = sum(base) < 240
    return Look(
        base=base,
        light=lighter(base, 0.22 if is_dark else 0.5),
        dark=lighter(base, 0.12) if is_dark else darker(base, 0.24),
        outline=PALE if is_dark else mix(INK, base, 0.12),
        width=width,
    )


def eye(pen: Pen, look: Look, x: float, y: float, r: float, side: float = 1.0) -> None:
    """A large round eye with a highlight, or what the mood makes of it. side: -1 for the left eye of a pair, else 1."""
    r *= look.eyes
    if look.mood in ("sleeping", "happy"):
        bend = 0.9 if look.mood == "sleeping" else -1.1
        pen.stroke(bezier((x - r, y), (x, y + bend * 1.4 * r), (x + r, y)), r * 0.4, _line(look))
        return
    pen.ellipse(x, y, r * 1.18, r * 1.3, CREAM)
    pen.ellipse(x, y + r * 0.08, r * 0.86, r, INK)
    pen.ellipse(x - r * 0.26, y - r * 0.36, r * 0.36, r * 0.38, (255, 255, 255))
    if look.mood in ("angry", "sad"):
        slope = -0.5 if look.mood == "angry" else 0.5
        ends = [(x - r * 1.2, y - r * (1.5 + slope * side)), (x + r * 1.2, y - r * (1.5 - slope * side))]
        pen.stroke(ends, r * 0.5, _line(look))
    if look.mood == "sad":
        pen.ellipse(x + side * r * 0.5, y + r * 1.9, r * 0.4, r * 0.6, (120, 200, 250))


def _line(look: Look) -> Colour:
    """Ink, or pale on a dark face."""
    return PALE if look.outline == PALE else INK


def eyes(pen: Pen, look: Look, y: float, apart: float, r: float) -> None:
    for side in (-1, 1):
        eye(pen, look, side * apart, y, r, side)


def cheeks(pen: Pen, head: Head, colour: Colour) -> None:
    for side in (-1, 1):
        pen.ellipse(head.x + side * head.rx * 0.68, head.y + head.ry * 0.38, 0.045, 0.03, colour)
