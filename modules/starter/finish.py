"""What is done to a subject or to the whole picture after drawing: patterns, textures, styles."""

from collections.abc import Callable
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from modules.starter.words import Colour

PAPER: Colour = (250, 244, 230)


def pattern(image: Image.Image, where: Image.Image, kind: str, ink: Colour) -> None:
    """Paint stripes, spots or checks where the mask is white."""
    image.paste(ink, mask=ImageChops.multiply(where, _tiles(kind, image.width)))


def where_coloured(image: Image.Image, mask: Image.Image, *colours: Colour) -> Image.Image:
    """A mask of what has exactly one of these colours within another mask."""
    found = Image.new("L", image.size)
    for colour in colours:
        apart = ImageChops.difference(image, Image.new("RGB", image.size, colour))
        farthest = ImageChops.lighter(ImageChops.lighter(*apart.split()[:2]), apart.split()[2])
        found = ImageChops.lighter(found, farthest.point(lambda v: 255 * (v == 0)))
    return ImageChops.multiply(found, mask)


def _tiles(kind: str, side: int) -> Image.Image:
    """White where the pattern is."""
    tiles, step = Image.new("L", (side, side)), side // 16
    draw = ImageDraw.Draw(tiles)
    for row in range(17):
        y = row * step
        if kind == "striped" and row % 2:
            draw.rectangle((0, y, side, y + step * 0.7), fill=255)
        for column in range(17):
            x = column * step
            if kind == "checkered" and (row + column) % 2:
                draw.rectangle((x, y, x + step - 1, y + step - 1), fill=255)
            if kind == "spotted" and row % 2 and column % 2:
                x += step * (row // 2 % 2)
                draw.ellipse((x - step * 0.62, y - step * 0.62, x + step * 0.62, y + step * 0.62), fill=255)
    return tiles


def texture(image: Image.Image, mask: Image.Image, rng: Random) -> None:
    """Short strokes of light and shade on the subject, for 'realistic'."""
    strokes = Image.new("L", image.size, 128)
    draw, side = ImageDraw.Draw(strokes), image.width
    for _ in range(420):
        x, y = rng.random() * side, rng.random() * side
        draw.line((x, y, x + rng.uniform(-4, 4), y + rng.uniform(4, 9)), fill=rng.choice((84, 104, 152, 176)), width=2)
    light = ImageChops.multiply(strokes.point(lambda v: max(0, v - 128) * 2), mask)
    shade = ImageChops.multiply(strokes.point(lambda v: max(0, 128 - v) * 2), mask)
    image.paste((255, 250, 240), mask=light)
    image.paste((20, 10, 30), mask=shade)


def painting(image: Image.Image) -> Image.Image:
    """Watercolour: flat washes that thin out towards the edges of the paper."""
    side = image.width
    washes = image.filter(ImageFilter.ModeFilter(5)).filter(ImageFilter.SMOOTH)
    bare = Image.radial_gradient("L").resize((side, side)).point(lambda v: 40 + max(0, min(200, round((v - 120) * 2))))
    washes.paste(PAPER, mask=bare)
    return washes


def sketch(image: Image.Image) -> Image.Image:
    """Soft pencil on paper."""
    grey = ImageOps.autocontrast(image.convert("L"))
    lines = _edges(grey).point(lambda v: 255 - min(190, round(v * 2)))
    shades = grey.filter(ImageFilter.GaussianBlur(image.width / 128)).point(lambda v: 176 + round(v * 0.31))
    return ImageChops.multiply(lines, shades).convert("RGB")


def _edges(grey: Image.Image) -> Image.Image:
    """Soft lines, one to two pixels wide after reduction, where the brightness changes; none around the picture."""
    side = grey.width
    edges = grey.filter(ImageFilter.FIND_EDGES)
    inside = Image.new("L", grey.size)
    inside.paste(edges.crop((2, 2, side - 2, side - 2)), (2, 2))
    return inside.filter(ImageFilter.GaussianBlur(side / 220))


def pixel_art(image: Image.Image) -> Image.Image:
    """32 x 32 large pixels in the few loud colours of an old console."""
    small = ImageEnhance.Color(image.resize((32, 32), Image.Resampling.BOX)).enhance(1.5)
    loud = ImageEnhance.Contrast(small).enhance(1.2).quantize(12, dither=Image.Dither.NONE).convert("RGB")
    return loud.resize(image.size, Image.Resampling.NEAREST)


def illustration(image: Image.Image) -> Image.Image:
    """Bright, with a broad dark contour around everything."""
    bright = ImageEnhance.Color(image).enhance(1.3)
    lines = _edges(image.convert("L")).point(lambda v: min(230, max(0, round((v - 16) * 4))))
    bright.paste((30, 24, 40), mask=lines)
    return bright


def cinematic(image: Image.Image) -> Image.Image:
    """Warm light from the upper left, edges in the dark."""
    side = image.width
    dark = Image.radial_gradient("L").resize((side, side)).point(lambda v: max(0, min(225, round((v - 60) * 1.35))))
    warm = Image.linear_gradient("L").resize((side, side)).rotate(45).point(lambda v: max(0, 90 - v // 2))
    lit = image.copy()
    lit.paste((255, 176, 84), mask=warm)
    lit.paste((8, 8, 28), mask=dark)
    return lit


STYLES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "painting": painting,
    "sketch": sketch,
    "pixel art": pixel_art,
    "illustration": illustration,
    "cinematic lighting": cinematic,
}
