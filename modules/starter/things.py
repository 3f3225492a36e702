"""Robot and things. Each function answers where a head is; things without one give their upper half."""

from modules.starter.look import INK, Head, Look
from modules.starter.pen import Pen, lighter

METAL = (176, 184, 198)
GLASS = (190, 228, 246)
CANVAS = (252, 248, 236)


def robot(pen: Pen, look: Look) -> Head:
    head = Head(x=0, y=0.29, rx=0.25, ry=0.2)
    with pen.outlined(look.outline, look.width):
        pen.stroke([(0, 0.12), (0, 0.03)], 0.03, METAL)
        pen.ellipse(0, 0.03, 0.045, 0.045, (255, 96, 96))
        for side in (-1, 1):
            pen.stroke(_arm(side), 0.075, METAL)
            pen.ellipse(side * 0.34, 0.8, 0.06, 0.06, look.dark)
            pen.box((side * 0.12 - 0.07, 0.84, side * 0.12 + 0.07, 0.97), 0.03, METAL)
    with pen.outlined(look.outline, look.width):
        pen.box((-0.22, 0.51, 0.22, 0.89), 0.06, look.base)
        pen.box((-0.26, 0.11, 0.26, 0.47), 0.08, look.base)
        pen.box((-0.06, 0.46, 0.06, 0.53), 0.01, METAL)
    if look.faceless:
        return head
    pen.box((-0.2, 0.18, 0.2, 0.38), 0.06, (48, 62, 90))
    for side in (-1, 1):
        pen.ellipse(side * 0.095, 0.275, 0.055, 0.06, (130, 244, 255))
        pen.ellipse(side * 0.095 - 0.015, 0.255, 0.02, 0.02, (255, 255, 255))
    pen.box((-0.07, 0.405, 0.07, 0.43), 0.01, look.outline)
    pen.box((-0.13, 0.58, 0.13, 0.78), 0.03, look.light)
    for n, colour in enumerate(((240, 90, 90), (250, 210, 70), (90, 200, 120))):
        pen.ellipse(-0.075 + 0.075 * n, 0.68, 0.028, 0.028, colour)
    return head


def _arm(side: int) -> list[tuple[float, float]]:
    return [(side * 0.2, 0.58), (side * 0.31, 0.64), (side * 0.34, 0.78)]


def car(pen: Pen, look: Look) -> Head:
    """Seen from the side, driving left."""
    with pen.outlined(look.outline, look.width):
        pen.polygon([(-0.3, 0.56), (-0.2, 0.27), (-0.16, 0.25), (0.2, 0.25), (0.25, 0.28), (0.4, 0.56)], look.base)
        pen.box((-0.6, 0.5, 0.6, 0.84), 0.11, look.base)
    pen.box((-0.58, 0.73, 0.58, 0.82), 0.04, look.dark)
    pen.polygon([(-0.23, 0.53), (-0.155, 0.315), (-0.01, 0.315), (-0.01, 0.53)], GLASS)
    pen.polygon([(0.05, 0.53), (0.05, 0.315), (0.18, 0.315), (0.3, 0.53)], GLASS)
    pen.polygon([(-0.17, 0.53), (-0.11, 0.315), (-0.07, 0.315), (-0.13, 0.53)], (236, 250, 255))
    pen.box((0.04, 0.6, 0.12, 0.625), 0.01, look.outline)
    pen.ellipse(-0.55, 0.61, 0.045, 0.055, (255, 240, 160))
    pen.ellipse(0.57, 0.61, 0.03, 0.05, (240, 80, 70))
    for x in (-0.33, 0.33):
        with pen.outlined(look.outline, look.width * 0.6):
            pen.ellipse(x, 0.84, 0.145, 0.145, (54, 52, 62))
        pen.ellipse(x, 0.84, 0.07, 0.07, METAL)
        pen.ellipse(x, 0.84, 0.025, 0.025, INK)
    return Head(x=0, y=0.4, rx=0.25, ry=0.16)


def boat(pen: Pen, look: Look) -> Head:
    with pen.outlined(look.outline, look.width):
        pen.box((-0.02, 0.04, 0.025, 0.72), 0.01, (130, 92, 60))
    with pen.outlined(look.outline, look.width):
        pen.polygon([(0.06, 0.08), (0.06, 0.62), (0.42, 0.62)], CANVAS)
        pen.polygon([(-0.06, 0.18), (-0.06, 0.62), (-0.34, 0.62)], CANVAS)
    with pen.outlined(look.outline, look.width):
        pen.polygon([(-0.56, 0.68), (0.58, 0.68), (0.4, 0.96), (-0.36, 0.96)], look.base)
    pen.polygon([(-0.51, 0.75), (0.53, 0.75), (0.5, 0.8), (-0.47, 0.8)], look.light)
    return Head(x=0, y=0.4, rx=0.3, ry=0.3)


def house(pen: Pen, look: Look) -> Head:
    with pen.outlined(look.outline, look.width):
        pen.box((0.16, 0.06, 0.28, 0.3), 0.01, (172, 96, 78))
    with pen.outlined(look.outline, look.width):
        pen.box((-0.38, 0.42, 0.38, 0.97), 0.01, look.base)
    with pen.outlined(look.outline, look.width):
        pen.polygon([(-0.5, 0.46), (0, 0.04), (0.5, 0.46)], look.dark)
    pen.box((-0.07, 0.66, 0.11, 0.97), 0.02, (122, 78, 52))
    pen.ellipse(0.075, 0.82, 0.015, 0.015, (250, 220, 110))
    for x in (-0.24, 0.25):
        pen.box((x - 0.085, 0.54, x + 0.085, 0.7), 0.01, (255, 255, 255))
        pen.box((x - 0.065, 0.56, x + 0.065, 0.68), 0.01, (255, 226, 130))
    pen.ellipse(0, 0.3, 0.06, 0.06, GLASS)
    return Head(x=0, y=0.3, rx=0.3, ry=0.25)


def clock(pen: Pen, look: Look) -> Head:
    with pen.outlined(look.outline, look.width):
        for side in (-1, 1):
            pen.stroke([(side * 0.2, 0.8), (side * 0.3, 0.95)], 0.09, look.dark)
            pen.ellipse(side * 0.24, 0.14, 0.14, 0.1, look.dark)
    with pen.outlined(look.outline, look.width):
        pen.ellipse(0, 0.52, 0.42, 0.42, look.base)
    pen.ellipse(0, 0.52, 0.32, 0.32, CLOCK_FACE)
    for x, y in ((0, 0.24), (0, 0.8), (-0.28, 0.52), (0.28, 0.52)):
        pen.ellipse(x, y, 0.025, 0.025, INK)
    pen.stroke([(0, 0.52), (0, 0.31)], 0.035, INK)
    pen.stroke([(0, 0.52), (0.15, 0.58)], 0.035, (210, 60, 60))
    pen.ellipse(0, 0.52, 0.035, 0.035, INK)
    return Head(x=0, y=0.4, rx=0.4, ry=0.35)


CLOCK_FACE = (255, 252, 242)


def vase(pen: Pen, look: Look) -> Head:
    for x, y, petals in ((-0.2, 0.12, (250, 120, 150)), (0.03, 0.05, (255, 210, 80)), (0.22, 0.14, (170, 120, 230))):
        pen.stroke([(0, 0.5), (x, y)], 0.03, (70, 150, 80))
        with pen.outlined(look.outline, look.width * 0.6):
            pen.ellipse(x, y, 0.1, 0.095, petals)
        pen.ellipse(x, y, 0.04, 0.04, lighter(petals, 0.6))
    with pen.outlined(look.outline, look.width):
        pen.box((-0.14, 0.4, 0.14, 0.52), 0.03, look.base)
        pen.ellipse(0, 0.72, 0.29, 0.23, look.base)
        pen.box((-0.16, 0.88, 0.16, 0.97), 0.02, look.base)
    pen.ellipse(-0.13, 0.66, 0.06, 0.1, look.light)
    return Head(x=0, y=0.3, rx=0.25, ry=0.25)


def teapot(pen: Pen, look: Look) -> Head:
    with pen.outlined(look.outline, look.width):
        pen.stroke([(-0.3, 0.76), (-0.46, 0.6), (-0.54, 0.42)], 0.11, look.base)
        pen.stroke([(0.3, 0.5), (0.52, 0.46), (0.54, 0.66), (0.32, 0.8)], 0.07, look.dark)
    with pen.outlined(look.outline, look.width):
        pen.ellipse(0, 0.66, 0.38, 0.3, look.base)
        pen.box((-0.2, 0.9, 0.2, 0.97), 0.02, look.base)
    with pen.outlined(look.outline, look.width):
        pen.ellipse(0, 0.38, 0.21, 0.08, look.dark)
        pen.ellipse(0, 0.26, 0.055, 0.055, look.dark)
    pen.ellipse(-0.16, 0.58, 0.07, 0.11, look.light)
    return Head(x=0, y=0.5, rx=0.3, ry=0.3)


def backpack(pen: Pen, look: Look) -> Head:
    with pen.outlined(look.outline, look.width):
        pen.stroke([(-0.1, 0.14), (-0.08, 0.05), (0.08, 0.05), (0.1, 0.14)], 0.05, look.dark)
        for side in (-1, 1):
            pen.box((side * 0.38 - 0.08, 0.5, side * 0.38 + 0.08, 0.86), 0.05, look.dark)
    with pen.outlined(look.outline, look.width):
        pen.box((-0.36, 0.12, 0.36, 0.97), 0.2, look.base)
    with pen.outlined(look.outline, look.width * 0.7):
        pen.box((-0.24, 0.58, 0.24, 0.88), 0.06, look.light)
    pen.stroke([(-0.27, 0.36), (0.27, 0.36)], 0.03, look.outline)
    pen.box((0.14, 0.34, 0.2, 0.44), 0.02, (250, 214, 100))
    pen.box((-0.05, 0.58, 0.05, 0.68), 0.02, (250, 214, 100))
    return Head(x=0, y=0.4, rx=0.3, ry=0.3)
