"""What animals and the robot wear."""

from PIL import Image, ImageDraw

from modules.starter.look import INK, Head, Look, look_of
from modules.starter.pen import Pen
from modules.starter.words import COLOURS, Colour

GOLD = (250, 204, 70)


def hat(pen: Pen, head: Head, look: Look) -> None:
    """A top hat with a ribbon."""
    brim, w = head.y - head.ry * 0.78, head.rx
    with pen.outlined(look.outline, look.width):
        pen.box((head.x - 0.68 * w, brim - 0.27, head.x + 0.68 * w, brim), 0.025, look.base)
        pen.box((head.x - 1.12 * w, brim - 0.045, head.x + 1.12 * w, brim + 0.035), 0.03, look.base)
    pen.box((head.x - 0.68 * w, brim - 0.1, head.x + 0.68 * w, brim - 0.05), 0, look.dark)


def scarf(pen: Pen, head: Head, look: Look) -> None:
    y = head.y + head.ry * 0.98
    with pen.outlined(look.outline, look.width):
        pen.box((head.x + 0.06, y, head.x + 0.21, y + 0.3), 0.02, look.base)
        pen.box((head.x - 0.27, y - 0.07, head.x + 0.27, y + 0.08), 0.07, look.base)
    pen.box((head.x + 0.06, y + 0.19, head.x + 0.21, y + 0.23), 0, look.dark)


def bow(pen: Pen, head: Head, look: Look) -> None:
    y = head.y + head.ry * 1.02
    with pen.outlined(look.outline, look.width):
        for side in (-1, 1):
            pen.polygon([(head.x, y), (head.x + side * 0.27, y - 0.14), (head.x + side * 0.27, y + 0.14)], look.base)
        pen.ellipse(head.x, y, 0.055, 0.065, look.dark)


def glasses(pen: Pen, head: Head, look: Look) -> None:
    y = head.y - head.ry * 0.05
    for side in (-1, 1):
        x = head.x + side * head.rx * 0.42
        for r, colour in ((0.135, INK), (0.095, (226, 244, 250))):
            pen.ellipse(x, y, r, r, colour)
        pen.ellipse(x, y + 0.01, 0.045, 0.05, INK)
    pen.stroke([(head.x - 0.03, y - 0.02), (head.x + 0.03, y - 0.02)], 0.04, INK)


def crown(pen: Pen, head: Head, look: Look) -> None:
    y, w = head.y - head.ry * 0.68, head.rx * 0.76
    peaks = [
        (-w, y),
        (-w * 1.1, y - 0.23),
        (-w * 0.5, y - 0.12),
        (0, y - 0.27),
        (w * 0.5, y - 0.12),
        (w * 1.1, y - 0.23),
        (w, y),
    ]
    with pen.outlined(INK, look.width):
        pen.polygon([(head.x + x, py) for x, py in peaks], GOLD)
    for dx, gem in ((-0.5, (226, 60, 70)), (0, (70, 120, 230)), (0.5, (226, 60, 70))):
        pen.ellipse(head.x + dx * w, y - 0.055, 0.032, 0.032, gem)


def helmet(pen: Pen, head: Head, look: Look) -> None:
    """A white astronaut's helmet: a ring, a collar, and a glass bubble through which the face shows."""
    r = max(head.rx, head.ry) * 1.3
    with pen.outlined(INK, look.width):
        pen.box((head.x - r * 0.72, head.y + r * 0.78, head.x + r * 0.72, head.y + r * 1.04), 0.04, (236, 238, 246))
    _bubble(pen, head, r)
    pen.stroke([(head.x - r * 0.62, head.y - r * 0.46), (head.x - r * 0.36, head.y - r * 0.7)], 0.05, (255, 255, 255))
    pen.box((head.x - r * 0.3, head.y + r * 0.86, head.x + r * 0.3, head.y + r * 0.95), 0.01, (240, 80, 80))


def _bubble(pen: Pen, head: Head, r: float) -> None:
    (cx, cy), radius = pen.place([(head.x, head.y)])[0], r * pen.height
    area = (cx - radius, cy - radius, cx + radius, cy + radius)
    veil = Image.new("L", pen.image.size)
    ImageDraw.Draw(veil).ellipse(area, fill=30)
    pen.image.paste((200, 236, 255), mask=veil)
    draw = ImageDraw.Draw(pen.image)
    draw.ellipse(area, outline=INK, width=round(0.075 * pen.height))
    thin = 0.012 * pen.height
    inner = (area[0] + thin, area[1] + thin, area[2] - thin, area[3] - thin)
    draw.ellipse(inner, outline=(242, 244, 250), width=round(0.05 * pen.height))
    ImageDraw.Draw(pen.mask).ellipse(area, fill=255)


WEAR = {"hat": hat, "scarf": scarf, "bow": bow, "glasses": glasses, "crown": crown, "astronaut helmet": helmet}


def put_on(pen: Pen, head: Head, kind: str, colour: str, width: float) -> None:
    """Draw what the head's owner wears; only hats, scarves and bows have a colour of their own."""
    base: Colour = COLOURS[colour] if colour else GOLD
    WEAR[kind](pen, head, look_of(base, width))
