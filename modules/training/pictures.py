"""Pictures as they are trained on: upright, RGB, cut and brought to the model's size, as `torchvision` does it.

Ruiz et al. 2022 and their followers resize the shorter side (bilinear, antialiased) and cut out the middle.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modules.core.errors import InvalidImage, InvalidRequest, Problem
from modules.core.training import TrainingPlan
from modules.imaging.flatten import flattened
from modules.imaging.focal import focal_box, thumbnail
from modules.imaging.metadata import open_picture
from modules.training.buckets import nearest, sizes

LONGEST_SHAPE = 16  # to 1: beyond it a picture would be resized to something huge
Box = tuple[float, float, float, float]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """One picture to learn from.

    `pixels`: (H, W, 3). `size`: (w, h) it is trained at; where `pixels` are larger, the window is drawn at each step.
    `original`: (w, h) of the picture before it was resized. `crop`: (left, top) of `pixels` in the resized picture.
    """

    pixels: Pixels
    caption: str
    size: tuple[int, int]
    original: tuple[int, int]
    crop: tuple[int, int] = (0, 0)
    name: str = ""

    @property
    def room(self) -> tuple[int, int]:
        """How far the window can be moved: to the right, downwards."""
        return self.pixels.shape[1] - self.size[0], self.pixels.shape[0] - self.size[1]

    def window(self, left: int, top: int) -> Pixels:
        """The pixels (h, w, 3) of a window of `size`."""
        return self.pixels[top : top + self.size[1], left : left + self.size[0]]

    def shown(self) -> Image.Image:
        """As it is trained on; where the window is drawn at each step, its middle."""
        return Image.fromarray(self.window(*(middle(room) for room in self.room)))

    def at(self, size: tuple[int, int]) -> "Example":
        """The same picture at another size, its middle: class pictures follow the pictures they train beside."""
        if size == self.size:
            return self
        pixels = _covering(Image.fromarray(self.pixels), size)
        crop = middle(pixels.width - size[0]), middle(pixels.height - size[1])
        cut = np.asarray(pixels.crop((*crop, crop[0] + size[0], crop[1] + size[1])))
        return Example(pixels=cut, caption=self.caption, size=size, original=self.original, crop=crop, name=self.name)


def examples(
    contents: Sequence[bytes], plan: TrainingPlan, resolution: int, downscale: int, prior: bool = False
) -> list[Example]:
    """The plan's pictures (`prior`: its class pictures), in its order. `downscale`: pixels per latent.

    Raises InvalidRequest naming all that cannot be read.
    """
    known = sizes(resolution, downscale) if plan.buckets and not prior else [(resolution, resolution)]
    found: list[Example] = []
    problems: list[Problem] = []
    for number, content in enumerate(contents):
        name = _name(plan, number, prior)
        try:
            found.append(_example(content, plan, number, known, prior))
        except InvalidImage as error:
            field = "class_pictures" if prior else "pictures"
            problems.append(Problem(field=field, message=f"{name}: {error}"))
    if problems:
        raise InvalidRequest(*problems)
    return found


def data_hash(found: Sequence[Example]) -> str:
    """SHA-256 of what is trained on: pixels, sizes and captions, in their order."""
    whole = hashlib.sha256()
    for one in found:
        whole.update(f"{one.pixels.shape} {one.size} {len(one.caption.encode())} ".encode())
        whole.update(one.caption.encode())
        whole.update(np.ascontiguousarray(one.pixels).tobytes())
    return whole.hexdigest()


def middle(room: int) -> int:
    """Where the middle window begins; halves are rounded as torchvision does, to even.

    >>> [middle(room) for room in (0, 1, 2, 3, 5)]
    [0, 0, 1, 2, 2]
    """
    return round(room / 2)


def _name(plan: TrainingPlan, number: int, prior: bool) -> str:
    given = "" if prior or number >= len(plan.names) else plan.names[number]
    return given or f"{'Class picture' if prior else 'Picture'} {number + 1}"


def _caption(plan: TrainingPlan, number: int, prior: bool) -> str:
    if prior:
        return plan.class_prompt
    own = plan.captions[number] if number < len(plan.captions) else ""
    return own.strip() or plan.instance_prompt


def _example(content: bytes, plan: TrainingPlan, number: int, known: list[tuple[int, int]], prior: bool) -> Example:
    picture = flattened(open_picture(content))
    if not prior and number < len(plan.crops):
        picture = cut_to(picture, plan.crops[number])
    if max(picture.size) > LONGEST_SHAPE * min(picture.size):
        raise InvalidImage(f"It has {picture.width}x{picture.height} pixels, a stripe; crop it.")
    size = nearest(*picture.size, known)
    large = _covering(picture, size)
    left, top, right, bottom = (0, 0, *large.size)
    if prior or plan.crop != "random":
        left, top = _focal(picture, large, size) if plan.crop == "focal" and not prior else _middle(large, size)
        right, bottom = left + size[0], top + size[1]
    return Example(
        pixels=np.asarray(large.crop((left, top, right, bottom))),
        caption=_caption(plan, number, prior),
        size=size,
        original=picture.size,
        crop=(left, top),
        name=_name(plan, number, prior),
    )


def cut_to(picture: Image.Image, box: Box) -> Image.Image:
    """The part of a picture inside (left, top, right, bottom), as parts of its sides. All zeros: the whole picture.

    Raises InvalidImage for a box that is no box.
    """
    if not any(box):
        return picture
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise InvalidImage(f"Its crop {tuple(box)} is no box; each number is a part of a side, 0 to 1.")
    (x, x_end), (y, y_end) = _span(left, right, picture.width), _span(top, bottom, picture.height)
    return picture.crop((x, y, x_end, y_end))


def _span(start: float, end: float, side: int) -> tuple[int, int]:
    """Whole pixels, at least one."""
    first = min(round(start * side), side - 1)
    return first, max(first + 1, round(end * side))


def _covering(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resized so that it just covers `size`; for a square one as torchvision resizes the shorter side."""
    width, height = size
    if width * picture.height > height * picture.width:  # the picture is the narrower one
        inner = width, max(height, int(width * picture.height / picture.width))
    else:
        inner = max(width, int(height * picture.width / picture.height)), height
    return picture if picture.size == inner else picture.resize(inner, Image.Resampling.BILINEAR)


def _middle(large: Image.Image, size: tuple[int, int]) -> tuple[int, int]:
    return middle(large.width - size[0]), middle(large.height - size[1])


def _focal(picture: Image.Image, large: Image.Image, size: tuple[int, int]) -> tuple[int, int]:
    """(left, top) of the part that is kept: where the page, which looks at a small copy too, shows it."""
    left, top, _, _ = focal_box(thumbnail(picture), size[0] / size[1])
    x, y = round(left * large.width), round(top * large.height)
    return min(x, large.width - size[0]), min(y, large.height - size[1])
