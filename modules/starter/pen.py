"""Drawing with a contrasting outline, in coordinates of the subject: 0 to 1 from its top to its feet, x around 0."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from PIL import Image, ImageDraw

from modules.starter.words import Colour

Point = tuple[float, float]
Shape = tuple[str, list[Point], float, Colour]  # kind, points in pixels, width or radius in pixels, fill


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`share` of the second colour in the first."""
    r, g, b = (round(x + (y - x) * share) for x, y in zip(first, second, strict=True))
    return r, g, b


def lighter(colour: Colour, share: float = 0.35) -> Colour:
    """The colour mixed with white."""
    return mix(colour, (255, 255, 255), share)


def darker(colour: Colour, share: float = 0.25) -> Colour:
    """The colour mixed with black."""
    return mix(colour, (0, 0, 0), share)


def bezier(a: Point, b: Point, c: Point, steps: int = 10) -> list[Point]:
    """Points on the quadratic curve from a to c that leans towards b."""
    ts = [n / steps for n in range(steps + 1)]
    blend = [((1 - t) ** 2, 2 * t * (1 - t), t * t) for t in ts]
    return [(p * a[0] + q * b[0] + r * c[0], p * a[1] + q * b[1] + r * c[1]) for p, q, r in blend]


class Pen:
    """Draws shapes on an image, and the same shapes in white on a mask."""

    def __init__(
        self, image: Image.Image, centre: float, feet: float, height: float, flip: bool, stretch: float = 1.0
    ) -> None:
        """centre, feet, height: pixels of the (enlarged) image; feet is the y of the subject's lowest point.

        stretch: widths against heights.
        """
        self.image, self.mask = image, Image.new("L", image.size)
        self._draw, self._mask_draw = ImageDraw.Draw(image), ImageDraw.Draw(self.mask)
        self.centre, self.top, self.height = centre, feet - height, height
        self._across = (-stretch if flip else stretch) * height
        self._stretch = stretch
        self._group: list[Shape] | None = None

    def place(self, points: Sequence[Point]) -> list[Point]:
        """Subject coordinates to pixels."""
        return [(self.centre + self._across * x, self.top + y * self.height) for x, y in points]

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        (cx, cy), rx, ry = self.place([(x, y)])[0], rx * self.height * self._stretch, ry * self.height
        self._add(("ellipse", [(cx - rx, cy - ry), (cx + rx, cy + ry)], 0.0, fill))

    def polygon(self, points: Sequence[Point], fill: Colour) -> None:
        self._add(("polygon", self.place(points), 0.0, fill))

    def box(self, corners: tuple[float, float, float, float], radius: float, fill: Colour) -> None:
        """A rectangle x0, y0, x1, y1 with round corners."""
        x0, y0, x1, y1 = corners
        (ax, ay), (bx, by) = self.place([(x0, y0), (x1, y1)])
        self._add(("box", [(min(ax, bx), ay), (max(ax, bx), by)], radius * self.height, fill))

    def stroke(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """A line with round ends through the points."""
        self._add(("stroke", self.place(points), width * self.height, fill))

    @contextmanager
    def outlined(self, outline: Colour, width: float) -> Iterator[None]:
        """Everything drawn inside the block gets one common outline of `width` pixels, and goes into the mask."""
        self._group = []
        yield
        shapes, self._group = self._group, None
        for shape in shapes:
            _paint(self._draw, shape, width, outline)
            _paint(self._mask_draw, shape, width, 255)
        for shape in shapes:
            _paint(self._draw, shape, 0, shape[3])

    def _add(self, shape: Shape) -> None:
        if self._group is None:
            _paint(self._draw, shape, 0, shape[3])
        else:
            self._group.append(shape)


def _paint(draw: ImageDraw.ImageDraw, shape: Shape, grow: float, fill: Colour | int) -> None:
    """Draw one shape, `grow` pixels larger on every side."""
    kind, points, size, _ = shape
    if kind == "polygon":
        draw.polygon(points, fill=fill)
        if grow:
            draw.line([*points, *points[:2]], fill=fill, width=round(2 * grow), joint="curve")
    elif kind == "stroke":
        radius = size / 2 + grow
        draw.line(points, fill=fill, width=round(2 * radius), joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    else:
        (x0, y0), (x1, y1) = points
        area = (x0 - grow, y0 - grow, x1 + grow, y1 + grow)
        if kind == "ellipse":
            draw.ellipse(area, fill=fill)
        else:
            draw.rounded_rectangle(area, radius=size + grow, fill=fill)
