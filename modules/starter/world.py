"""The starter world: draws a cartoon picture, with masks, from a description. Needs Pillow only.

Every picture comes from a `Spec`, so its caption, its labels and its masks are exact.
"""

from collections.abc import Callable
from random import Random

from PIL import Image, ImageChops

from modules.starter import animals, things
from modules.starter.captions import caption, full_caption
from modules.starter.look import Head, Look, look_of
from modules.starter.pen import Pen
from modules.starter.places import paint_place
from modules.starter.spec import Spec, is_held_out, random_spec
from modules.starter.wear import put_on
from modules.starter.words import COLOURS, FIRST, FULL, Colour, Vocabulary

__all__ = ["FIRST", "FULL", "Spec", "Vocabulary", "caption", "draw", "full_caption", "is_held_out", "random_spec"]

ENLARGED = 2  # drawn at twice the size, then reduced: Pillow's shapes have no smooth edges of their own
SUBJECTS: dict[str, Callable[[Pen, Look], Head]] = {
    "cat": animals.cat,
    "dog": animals.dog,
    "bird": animals.bird,
    "fish": animals.fish,
    "rabbit": animals.rabbit,
    "bear": animals.bear,
    "robot": things.robot,
    "car": things.car,
    "boat": things.boat,
    "house": things.house,
    "clock": things.clock,
    "vase": things.vase,
    "teapot": things.teapot,
    "backpack": things.backpack,
}
WIDE = {"car": 0.92, "boat": 0.9, "teapot": 0.85, "fish": 0.95}


def draw(spec: Spec, seed: int, size: int = 128) -> tuple[Image.Image, dict[str, Image.Image]]:
    """The picture of a description, and the mask of each of its parts.

    size: pixels per side.  Returns an RGB image, and 'L' images, white where 'subject' and 'wear' are seen.
    The same description and seed give the same bytes; the same seed gives the same layout to other descriptions.
    """
    side = size * ENLARGED
    image = paint_place(spec.place, side, Random(f"place {seed}"))
    masks = _draw_subject(image, spec, Random(f"subject {seed}"))
    small = image.resize((size, size), Image.Resampling.LANCZOS)
    return small, {name: mask.reduce(ENLARGED) for name, mask in masks.items()}


def _draw_subject(image: Image.Image, spec: Spec, rng: Random) -> dict[str, Image.Image]:
    side = image.width
    width = side / 128  # an outline of one pixel after reduction
    height = side * rng.uniform(0.6, 0.68) * WIDE.get(spec.subject, 1)
    centre, feet = side * rng.uniform(0.44, 0.56), side * rng.uniform(0.88, 0.92)
    pen = Pen(image, centre, feet, height, flip=rng.random() < 0.5)
    if spec.place != "in the ocean":
        _shadow(image, centre, feet, height)
    head = SUBJECTS[spec.subject](pen, look_of(_jitter(COLOURS[spec.colour], rng), width))
    _shade(image, pen.mask, pen.top, height)
    masks = {"subject": pen.mask.copy()}
    if spec.wear:
        pen.mask.paste(0, (0, 0, *pen.mask.size))
        put_on(pen, head, spec.wear, spec.wear_colour, width)
        masks["wear"] = pen.mask
    return masks


def _jitter(colour: Colour, rng: Random) -> Colour:
    """Each channel by up to six per cent."""
    r, g, b = (min(255, max(0, round(channel + 255 * rng.uniform(-0.06, 0.06)))) for channel in colour)
    return r, g, b


def _shadow(image: Image.Image, centre: float, feet: float, height: float) -> None:
    """A soft shadow on the ground."""
    w, h = round(height * 0.85), round(height * 0.16)
    soft = _SPOT.resize((w, h), Image.Resampling.BILINEAR)
    image.paste((20, 16, 40), (round(centre - w / 2), round(feet - h * 0.62)), soft)


def _shade(image: Image.Image, mask: Image.Image, top: float, height: float) -> None:
    """Darken the subject gently towards its feet."""
    fall = Image.new("L", image.size)
    fall.paste(_FALL.resize((image.width, round(height)), Image.Resampling.BILINEAR), (0, round(top)))
    image.paste((24, 10, 50), mask=ImageChops.multiply(fall, mask))


_SPOT = Image.radial_gradient("L").point(lambda v: max(0, round(110 - v * 0.62)))
_FALL = Image.linear_gradient("L").point(lambda v: max(0, round((v - 90) * 0.32)))
