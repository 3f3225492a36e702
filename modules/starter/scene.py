"""A background's canvas: gradients, shapes and clouds, in shares of the picture's side."""

from collections.abc import Sequence
from random import Random

from PIL import Image, ImageDraw

from modules.starter.pen import lighter
from modules.starter.words import Colour

Box = tuple[float, float, float, float]


class Scene:
    """A canvas with coordinates from 0 to 1 on both sides."""

    def __init__(self, side: int, rng: Random) -> None:
        self.side, self.rng = side, rng
        self.image = Image.new("RGB", (side, side))
        self._draw = ImageDraw.Draw(self.image)

    def gradient(self, top: float, bottom: float, colours: Sequence[Colour]) -> None:
        """A soft vertical gradient between two heights."""
        y0, y1 = round(top * self.side), round(bottom * self.side)
        strip = Image.new("RGB", (1, len(colours)))
        strip.putdata(list(colours))
        column = strip.resize((1, y1 - y0), Image.Resampling.BILINEAR)
        self.image.paste(column.resize((self.side, y1 - y0), Image.Resampling.NEAREST), (0, y0))

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        s = self.side
        self._draw.ellipse(((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s), fill=fill)

    def polygon(self, points: Sequence[tuple[float, float]], fill: Colour) -> None:
        self._draw.polygon([(x * self.side, y * self.side) for x, y in points], fill=fill)

    def box(self, area: Box, fill: Colour) -> None:
        x0, y0, x1, y1 = (v * self.side for v in area)
        self._draw.rectangle((x0, y0, x1, y1), fill=fill)

    def line(self, points: Sequence[tuple[float, float]], width: float, fill: Colour) -> None:
        self._draw.line([(x * self.side, y * self.side) for x, y in points], fill, round(width * self.side), "curve")

    def sideways(self) -> float:
        """A random x near the left or the right edge, where the subject does not stand."""
        x = self.rng.uniform(0.06, 0.2)
        return x if self.rng.random() < 0.5 else 1 - x

    def cloud(self, x: float, y: float, size: float) -> None:
        for dx, dy, r in ((-0.9, 0.1, 0.55), (0, -0.15, 0.75), (0.9, 0.1, 0.55)):
            self.ellipse(x + dx * size, y + dy * size, r * size * 1.1, r * size * 0.75, (252, 253, 255))

    def sun(self, x: float, y: float, colour: Colour = (255, 226, 110)) -> None:
        self.ellipse(x, y, 0.1, 0.1, lighter(colour, 0.5))
        self.ellipse(x, y, 0.075, 0.075, colour)
