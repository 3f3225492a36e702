"""Animals, drawn from the front (fish and bird from the side). Each function answers where the head is."""

from modules.starter.look import INK, Head, Look, cheeks, eye, eyes
from modules.starter.pen import Pen, bezier, mix

PINK = (250, 150, 170)


def cat(pen: Pen, look: Look) -> Head:
    head = Head(x=0, y=0.34, rx=0.3, ry=0.25)
    with pen.outlined(look.outline, look.width):
        pen.stroke(bezier((0.14, 0.92), (0.5, 0.95), (0.37, 0.56)), 0.09, look.base)
    with pen.outlined(look.outline, look.width):
        pen.ellipse(0, 0.76, 0.21, 0.235, look.base)
        for side in (-1, 1):
            pen.ellipse(side * 0.12, 0.95, 0.09, 0.05, look.base)
    pen.ellipse(0, 0.8, 0.12, 0.15, look.light)
    with pen.outlined(look.outline, look.width):
        pen.ellipse(head.x, head.y, head.rx, head.ry, look.base)
        for side in (-1, 1):
            pen.polygon([(side * 0.29, 0.3), (side * 0.265, 0.0), (side * 0.06, 0.13)], look.base)
    if look.faceless:
        return head
    for side in (-1, 1):
        pen.polygon([(side * 0.245, 0.19), (side * 0.24, 0.065), (side * 0.13, 0.135)], PINK)
    _cat_face(pen, look, head)
    return head


def _cat_face(pen: Pen, look: Look, head: Head) -> None:
    eyes(pen, look, 0.33, 0.135, 0.062)
    pen.ellipse(0, 0.465, 0.085, 0.055, look.light)
    pen.polygon([(-0.03, 0.425), (0.03, 0.425), (0, 0.46)], PINK)
    for side in (-1, 1):
        pen.stroke(bezier((0, 0.465), (side * 0.02, 0.505), (side * 0.055, 0.48)), 0.014, INK)
        for dy in (0, 0.05):
            pen.stroke([(side * 0.19, 0.44 + dy), (side * 0.34, 0.42 + dy * 1.7)], 0.012, look.outline)
    cheeks(pen, head, mix(look.base, PINK, 0.4))


def dog(pen: Pen, look: Look) -> Head:
    head = Head(x=0, y=0.32, rx=0.255, ry=0.255)
    with pen.outlined(look.outline, look.width):
        pen.stroke(bezier((0.16, 0.86), (0.34, 0.82), (0.36, 0.66)), 0.075, look.base)
        pen.ellipse(0, 0.77, 0.22, 0.225, look.base)
        for side in (-1, 1):
            pen.ellipse(side * 0.13, 0.95, 0.1, 0.05, look.base)
    pen.ellipse(0, 0.83, 0.11, 0.12, look.light)
    with pen.outlined(look.outline, look.width):
        pen.ellipse(head.x, head.y, head.rx, head.ry, look.base)
    with pen.outlined(look.outline, look.width):
        for side in (-1, 1):
            pen.stroke(bezier((side * 0.2, 0.15), (side * 0.37, 0.2), (side * 0.31, 0.47)), 0.125, look.dark)
    if not look.faceless:
        _dog_face(pen, look)
    return head


def _dog_face(pen: Pen, look: Look) -> None:
    with pen.outlined(look.outline, look.width * 0.5):
        pen.ellipse(0, 0.435, 0.15, 0.11, look.light)
    eyes(pen, look, 0.275, 0.1, 0.055)
    pen.ellipse(0, 0.525, 0.045, 0.055, (238, 90, 110))
    pen.stroke(bezier((-0.09, 0.47), (0, 0.53), (0.09, 0.47)), 0.016, INK)
    pen.ellipse(0, 0.385, 0.06, 0.04, INK)
    pen.ellipse(-0.02, 0.372, 0.018, 0.01, (255, 255, 255))


def bird(pen: Pen, look: Look) -> Head:
    """Seen from the side, looking left."""
    head = Head(x=-0.06, y=0.27, rx=0.22, ry=0.22)
    for x in (-0.06, 0.1):
        pen.stroke([(x, 0.86), (x, 0.96), (x - 0.07, 0.98)], 0.035, (236, 140, 40))
    with pen.outlined(look.outline, look.width):
        pen.polygon([(0.2, 0.62), (0.5, 0.5), (0.47, 0.6), (0.52, 0.66), (0.2, 0.8)], look.dark)
    with pen.outlined(look.outline, look.width):
        pen.polygon([(-0.22, 0.22), (-0.42, 0.32), (-0.22, 0.38)], (250, 168, 44))
        pen.stroke(bezier((-0.05, 0.08), (-0.02, -0.02), (0.08, -0.01)), 0.04, look.base)
        pen.ellipse(0.03, 0.62, 0.3, 0.27, look.base)
        pen.ellipse(head.x, head.y, head.rx, head.ry, look.base)
    pen.polygon([(-0.22, 0.22), (-0.42, 0.32), (-0.22, 0.38)], (250, 168, 44))
    pen.ellipse(-0.1, 0.68, 0.15, 0.17, look.light)
    with pen.outlined(look.outline, look.width * 0.7):
        pen.polygon(
            [*bezier((0.0, 0.54), (0.24, 0.42), (0.36, 0.62)), *bezier((0.36, 0.62), (0.16, 0.86), (0.0, 0.54))],
            look.dark,
        )
    eye(pen, look, -0.1, 0.25, 0.066)
    return head


def fish(pen: Pen, look: Look) -> Head:
    """Seen from the side, looking left."""
    head = Head(x=-0.2, y=0.5, rx=0.25, ry=0.3)
    with pen.outlined(look.outline, look.width):
        pen.polygon([(0.26, 0.52), (0.58, 0.24), (0.52, 0.52), (0.58, 0.8)], look.dark)
        pen.polygon([(-0.16, 0.3), (0.02, 0.08), (0.24, 0.14), (0.26, 0.4)], look.dark)
        pen.polygon([(-0.02, 0.74), (0.16, 0.94), (0.2, 0.7)], look.dark)
    with pen.outlined(look.outline, look.width):
        pen.ellipse(-0.05, 0.52, 0.42, 0.3, look.base)
    pen.ellipse(-0.08, 0.66, 0.26, 0.12, look.light)
    for x in (0.06, 0.2):
        pen.stroke(bezier((x, 0.34), (x + 0.09, 0.52), (x, 0.68)), 0.03, look.dark)
    with pen.outlined(look.outline, look.width * 0.6):
        pen.polygon([(-0.06, 0.52), (0.13, 0.62), (-0.04, 0.7)], look.dark)
    eye(pen, look, -0.26, 0.44, 0.072)
    pen.stroke(bezier((-0.42, 0.6), (-0.36, 0.65), (-0.29, 0.61)), 0.022, INK)
    return head


def rabbit(pen: Pen, look: Look) -> Head:
    head = Head(x=0, y=0.46, rx=0.24, ry=0.21)
    with pen.outlined(look.outline, look.width):
        pen.ellipse(0, 0.8, 0.2, 0.2, look.base)
        for side in (-1, 1):
            pen.ellipse(side * 0.13, 0.96, 0.1, 0.045, look.base)
    pen.ellipse(0, 0.84, 0.11, 0.12, look.light)
    with pen.outlined(look.outline, look.width):
        for side in (-1, 1):
            pen.stroke(bezier((side * 0.1, 0.3), (side * 0.1, 0.14), (side * 0.15, 0.06)), 0.12, look.base)
        pen.ellipse(head.x, head.y, head.rx, head.ry, look.base)
    for side in (-1, 1):
        pen.stroke(bezier((side * 0.105, 0.26), (side * 0.105, 0.14), (side * 0.145, 0.07)), 0.05, PINK)
    if not look.faceless:
        _rabbit_face(pen, look, head)
    return head


def _rabbit_face(pen: Pen, look: Look, head: Head) -> None:
    eyes(pen, look, 0.44, 0.11, 0.055)
    pen.polygon([(-0.03, 0.52), (0.03, 0.52), (0, 0.55)], PINK)
    pen.box((-0.028, 0.585, 0.028, 0.635), 0.008, (255, 255, 255))
    pen.stroke(bezier((-0.05, 0.575), (0, 0.6), (0.05, 0.575)), 0.014, INK)
    cheeks(pen, head, mix(look.base, PINK, 0.4))


def bear(pen: Pen, look: Look) -> Head:
    head = Head(x=0, y=0.3, rx=0.27, ry=0.235)
    with pen.outlined(look.outline, look.width):
        pen.ellipse(0, 0.73, 0.27, 0.25, look.base)
        for side in (-1, 1):
            pen.ellipse(side * 0.16, 0.94, 0.12, 0.06, look.base)
            pen.stroke([(side * 0.22, 0.62), (side * 0.31, 0.76)], 0.12, look.base)
    pen.ellipse(0, 0.77, 0.16, 0.17, look.light)
    with pen.outlined(look.outline, look.width):
        for side in (-1, 1):
            pen.ellipse(side * 0.21, 0.12, 0.095, 0.095, look.base)
        pen.ellipse(head.x, head.y, head.rx, head.ry, look.base)
    for side in (-1, 1):
        pen.ellipse(side * 0.215, 0.12, 0.05, 0.05, look.light)
    if look.faceless:
        return head
    pen.ellipse(0, 0.39, 0.13, 0.1, look.light)
    eyes(pen, look, 0.27, 0.11, 0.042)
    pen.ellipse(0, 0.35, 0.055, 0.038, INK)
    pen.stroke(bezier((-0.06, 0.42), (0, 0.47), (0.06, 0.42)), 0.016, INK)
    return head
