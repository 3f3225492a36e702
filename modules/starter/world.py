"""The starter world: draws a cartoon picture, with masks, from a description. Needs Pillow only.

Every picture comes from a `Spec`, so its caption, its labels and its masks are exact.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from PIL import Image, ImageChops, ImageDraw

from modules.starter import animals, things
from modules.starter.captions import caption, full_caption
from modules.starter.finish import STYLES, pattern, texture, where_coloured
from modules.starter.look import MOODS, Head, Look, look_of
from modules.starter.marks import mark
from modules.starter.pen import Pen, darker, lighter
from modules.starter.places import paint_place
from modules.starter.spec import Spec, is_held_out, random_spec
from modules.starter.wear import put_on
from modules.starter.words import ANIMALS, COLOURS, FIRST, FULL, Colour, Vocabulary

__all__ = [
    "FIRST",
    "FULL",
    "Spec",
    "Vocabulary",
    "caption",
    "draw",
    "example_subject",
    "full_caption",
    "is_held_out",
    "is_mirrored",
    "random_spec",
]

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
SIZES = {"small": 0.66, "large": 1.18}
STACKED = ("above", "below")


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where one subject stands and how high it is, in shares of the picture's side."""

    x: float
    feet: float
    height: float


def draw(spec: Spec, seed: int, size: int = 128) -> tuple[Image.Image, dict[str, Image.Image]]:
    """The picture of a description, and the mask of each of its parts.

    size: pixels per side.  Returns an RGB image, and 'L' images, white where 'subject', 'wear' and 'other' are seen.
    The same description and seed give the same bytes; the same seed gives the same layout to other descriptions.
    """
    side = size * ENLARGED
    image = paint_place(spec.place, side, Random(f"place {seed}"))
    masks = _draw_subjects(image, spec, Random(f"subject {seed}"))
    if spec.style in STYLES:
        image = STYLES[spec.style](image)
    resample = Image.Resampling.NEAREST if spec.style == "pixel art" else Image.Resampling.LANCZOS
    small = image.resize((size, size), resample)
    return small, {name: mask.reduce(ENLARGED) for name, mask in masks.items()}


def is_mirrored(seed: int) -> bool:
    """Whether the subject of a picture drawn with this seed, one alone, looks the other way than it is drawn.

    Its place comes from the first three random numbers, see `_spots`; the fourth decides.
    """
    rng = Random(f"subject {seed}")
    return [rng.random() for _ in range(4)][3] < 0.5


def example_subject(seed: int) -> list[tuple[Image.Image, str]]:
    """Five pictures of one individual, with identity marks, and what each shows besides: what DreamBooth learns from."""
    rng = Random(f"example {seed}")
    subject, colour = rng.choice(FULL.subjects), rng.choice(FULL.colours)
    places = rng.sample([place for place in FULL.places if "{" not in place], 5)
    specs = [Spec(subject=subject, colour=colour, place=place, identity=seed) for place in places]
    return [(draw(spec, seed * 10 + n)[0], f"a {subject} {spec.place}") for n, spec in enumerate(specs)]


def _draw_subjects(image: Image.Image, spec: Spec, rng: Random) -> dict[str, Image.Image]:
    empty = Image.new("L", image.size)
    masks: dict[str, Image.Image] = {}
    first, *more = _spots(spec, rng)
    shown = [spec] * (1 + len(more)) if spec.other is None else [spec, spec.other]
    for n, (one, spot) in enumerate(zip(shown, (first, *more), strict=True)):
        found = _draw_subject(image, one, spot, rng)
        for name, mask in found.items():
            key = "other" if n and spec.other else name
            masks[key] = ImageChops.lighter(masks.get(key, empty), mask)
    return masks


def _spots(spec: Spec, rng: Random) -> list[Spot]:
    """Where each subject stands; one alone stands near the middle."""
    height, x, feet = rng.uniform(0.6, 0.68), rng.uniform(0.44, 0.56), rng.uniform(0.88, 0.92)
    if spec.other is not None:
        return _pair(spec.relation, Spot(x=x, feet=feet, height=height), rng)
    share = {1: 1.0, 2: 0.68, 3: 0.5}[spec.count] * SIZES.get(spec.adjective, 1.0)
    columns = {1: (x,), 2: (0.28, 0.72), 3: (0.2, 0.5, 0.8)}[spec.count]
    return [Spot(x=column, feet=feet, height=height * share) for column in columns]


def _pair(relation: str, alone: Spot, rng: Random) -> list[Spot]:
    """Two subjects, the first `relation` of the second."""
    if relation in STACKED:
        upper, lower = (Spot(x=alone.x, feet=feet, height=alone.height * 0.7) for feet in (0.48, 0.97))
        return [upper, lower] if relation == "above" else [lower, upper]
    first_is_left = relation == "left of" or (relation == "next to" and rng.random() < 0.5)
    return [replace(alone, x=x, height=alone.height * 0.7) for x in ((0.26, 0.74) if first_is_left else (0.74, 0.26))]


def _draw_subject(image: Image.Image, spec: Spec, spot: Spot, rng: Random) -> dict[str, Image.Image]:
    side = image.width
    height = side * spot.height * WIDE.get(spec.subject, 1)
    centre, feet = side * spot.x, side * spot.feet
    pen = Pen(image, centre, feet, height, flip=rng.random() < 0.5, stretch=0.82 if spec.view == "side" else 1.0)
    if spec.place != "in the ocean":
        _shadow(image, centre, feet, height)
    look = _look(spec, rng, side)
    head = SUBJECTS[spec.subject](pen, look)
    _decorate(image, pen, spec, look, head)
    _shade(image, pen.mask, pen.top, height)
    if spec.adjective == "realistic":
        texture(image, pen.mask, rng)
        _shade(image, pen.mask, pen.top, height)
    masks = {"subject": pen.mask.copy()}
    if spec.wear:
        pen.mask.paste(0, (0, 0, *pen.mask.size))
        put_on(pen, head, spec.wear, spec.wear_colour, look.width)
        masks["wear"] = pen.mask
    return masks


def _decorate(image: Image.Image, pen: Pen, spec: Spec, look: Look, head: Head) -> None:
    """Pattern and identity marks."""
    if spec.pattern != "plain":
        where = pen.mask.copy()
        if spec.subject in ANIMALS and not look.faceless:
            _spare_face(where, pen, head)
        coat, pale = ((look.base, look.dark), (look.light, things.CANVAS))
        for colours, ink in ((coat, _ink(look.base)), (pale, look.dark)):
            pattern(image, where_coloured(image, where, *colours), spec.pattern, ink)
    if spec.identity is not None:
        mark(pen, look, head, spec.subject, spec.identity)


def _spare_face(mask: Image.Image, pen: Pen, head: Head) -> None:
    """Stripes over the eyes hide what the animal looks like, above all in sixteen latents a side."""
    corners = [(head.x + side * 0.8 * head.rx, head.y + side * 0.8 * head.ry) for side in (-1, 1)]
    (x0, y0), (x1, y1) = pen.place(corners)
    ImageDraw.Draw(mask).ellipse((min(x0, x1), y0, max(x0, x1), y1), fill=0)


def _ink(base: Colour) -> Colour:
    """What stands out from a colour and is still a shade of it: with less contrast a pattern is lost in the latents."""
    return lighter(base, 0.55) if sum(base) < 380 else darker(base, 0.45)


def _look(spec: Spec, rng: Random, side: int) -> Look:
    """The outline has one pixel after reduction."""
    return replace(
        look_of(_jitter(COLOURS[spec.colour], rng), side / 128),
        mood=spec.adjective if spec.adjective in MOODS else "",
        eyes=1.4 if spec.adjective == "cute" else 1.0,
        faceless=spec.view == "back",
    )


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
