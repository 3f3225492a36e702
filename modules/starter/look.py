"""How one subject is coloured, and faces, which all subjects share."""

from dataclasses import dataclass

from modules.starter.pen import Pen, darker, lighter, mix
from modules.starter.words import Colour

INK: Colour = (44, 32, 52)
PALE: Colour = (214, 212, 226)
CREAM: Colour = (255, 248, 236)


@dataclass(frozen=True, kw_only=True)
class Look:
    """The colours of one subject. width: of the outline, in pixels of the enlarged image."""

    base: Colour
    light: Colour
    dark: Colour
    outline: Colour
    width: float


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


def eye(pen: Pen, x: float, y: float, r: float) -> None:
    """A large round eye with a highlight."""
    pen.ellipse(x, y, r * 1.18, r * 1.3, CREAM)
    pen.ellipse(x, y + r * 0.08, r * 0.86, r, INK)
    pen.ellipse(x - r * 0.26, y - r * 0.36, r * 0.36, r * 0.38, (255, 255, 255))


def eyes(pen: Pen, x: float, y: float, apart: float, r: float) -> None:
    for side in (-1, 1):
        eye(pen, x + side * apart, y, r)


def cheeks(pen: Pen, head: Head, colour: Colour) -> None:
    for side in (-1, 1):
        pen.ellipse(head.x + side * head.rx * 0.68, head.y + head.ry * 0.38, 0.045, 0.03, colour)
