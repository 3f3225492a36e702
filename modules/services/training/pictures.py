"""What is seen in the pictures of a plan, one by one and together, before it starts. Each is looked at once."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from modules.core.errors import InvalidImage, NotFound
from modules.core.training import AMBER, GREEN, LEVELS, RED, Remark, TrainingPlan
from modules.imaging.focal import focal_box
from modules.imaging.picture_check import Looked, duplicates, look
from modules.services.inputs import Inputs
from modules.training.buckets import nearest, sizes

MOST_REMEMBERED = 4000  # a thumbnail and some numbers each, about 10 kB
LONGEST_SHAPE = 16  # as in training/pictures.py
MUCH = 1.5  # longer side to shorter: a third is cut off
DOWNSCALE = 8  # pixels per latent of every model there is

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One picture. `width`, `height` upright, 0 if it cannot be read. `crop`: what of it is trained on, as parts of its sides."""

    id: str
    name: str
    width: int = 0
    height: int = 0
    crop: Box = (0.0, 0.0, 1.0, 1.0)
    remarks: tuple[Remark, ...] = ()
    duplicate_of: str = ""
    looked: Looked | None = field(default=None, repr=False, compare=False)

    @property
    def level(self) -> str:
        """The worst of its remarks."""
        return worst([one.level for one in self.remarks])


def worst(levels: Sequence[str]) -> str:
    """Red before amber before green.

    >>> worst(["green", "amber"]), worst([])
    ('amber', 'green')
    """
    return max(levels, key=LEVELS.index, default=GREEN)


class PictureLooker:
    """Looks at stored pictures; what it saw is kept by their ids. Safe from any thread."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._seen: OrderedDict[str, Looked | str] = OrderedDict()
        self._one_decoder = threading.Lock()  # one picture's memory at a time

    def pictures(self, plan: TrainingPlan, resolution: int) -> list[Seen]:
        """Every picture of a plan, in its order, as it would be trained at this resolution."""
        looked = [self._look(id) for id in plan.pictures]
        copies = duplicates([None if isinstance(one, str) else one for one in looked])
        found = [_seen(plan, number, one, resolution) for number, one in enumerate(looked)]
        for later, first in copies.items():
            if plan.pictures[later] == plan.pictures[first]:  # meant to count more, as a folder of kohya's says
                remark = Remark(
                    level=GREEN, kind="repeat", message="It is in the list more than once, and counts more."
                )
                found[later] = replace(found[later], remarks=(*found[later].remarks, remark))
                continue
            remark = Remark(level=AMBER, kind="copy", message=f"Nearly the same as {found[first].name}.")
            found[later] = replace(found[later], duplicate_of=found[first].id, remarks=(*found[later].remarks, remark))
        return found

    def unreadable(self, ids: Sequence[str]) -> list[str]:
        """Those of the stored pictures that cannot be read, or are gone."""
        return [id for id in ids if isinstance(self._look(id), str)]

    def _look(self, id: str) -> Looked | str:
        """What was seen, or why nothing could be."""
        with self._one_decoder:
            found = self._seen.get(id)
            if found is None:
                try:
                    found = look(self._inputs.get(id))
                except NotFound:
                    return "It is not stored here any more; add it again."  # it may come back
                except InvalidImage as error:
                    found = str(error)
            self._seen[id] = found
            self._seen.move_to_end(id)
            if len(self._seen) > MOST_REMEMBERED:
                self._seen.popitem(last=False)
            return found


def name_of(plan: TrainingPlan, number: int) -> str:
    """A picture's name, or its number."""
    return (plan.names[number] if number < len(plan.names) else "") or f"Picture {number + 1}"


def _seen(plan: TrainingPlan, number: int, looked: Looked | str, resolution: int) -> Seen:
    id, name = plan.pictures[number], name_of(plan, number)
    if isinstance(looked, str):
        return Seen(id=id, name=name, remarks=(Remark(level=RED, kind="unreadable", message=looked),))
    own = plan.crops[number] if number < len(plan.crops) else (0.0, 0.0, 0.0, 0.0)
    is_box = not any(own) or (0 <= own[0] < own[2] <= 1 and 0 <= own[1] < own[3] <= 1)
    box = own if any(own) and is_box else (0.0, 0.0, 1.0, 1.0)
    width = max(1, round((box[2] - box[0]) * looked.width))
    height = max(1, round((box[3] - box[1]) * looked.height))
    remarks = [*_of_file(looked, resolution), *_of_shape(plan, width, height, resolution)]
    if not is_box:
        remarks.append(Remark(level=RED, kind="crop", message="Its crop is no box inside the picture."))
    return Seen(
        id=id,
        name=name,
        width=looked.width,
        height=looked.height,
        crop=box if any(own) else crop_of(plan, looked, resolution),
        remarks=tuple(remarks),
        looked=looked,
    )


def crop_of(plan: TrainingPlan, looked: Looked, resolution: int) -> Box:
    """What of a picture is trained on when nobody says: all of it where the window moves, else the middle or the subject."""
    if plan.crop == "random":
        return 0.0, 0.0, 1.0, 1.0
    shape = 1.0
    if plan.buckets:
        width, height = nearest(looked.width, looked.height, sizes(resolution, DOWNSCALE))
        shape = width / height
    if plan.crop == "focal":
        return _focal(looked, shape)
    wide = looked.width / looked.height
    x, y = (round((1 - shape / wide) / 2, 4), 0.0) if wide > shape else (0.0, round((1 - wide / shape) / 2, 4))
    return x, y, round(1 - x, 4), round(1 - y, 4)


@lru_cache(maxsize=MOST_REMEMBERED)
def _focal(looked: Looked, shape: float) -> Box:
    """A page asks again with every key that is pressed."""
    return focal_box(looked.small, shape)


def _of_file(looked: Looked, resolution: int) -> list[Remark]:
    found: list[Remark] = []
    if looked.blurred(resolution):
        message = "It looks blurred; the subject will be learned blurred."
        found.append(Remark(level=AMBER, kind="blurred", message=message))
    if looked.turned:
        found.append(Remark(level=GREEN, kind="turned", message="Turned upright as its camera says."))
    if looked.transparent:
        found.append(Remark(level=GREEN, kind="transparent", message="What is transparent becomes white."))
    return found


def _of_shape(plan: TrainingPlan, width: int, height: int, resolution: int) -> list[Remark]:
    """`width`, `height`: of the part that is trained on, before it is resized."""
    short, long = min(width, height), max(width, height)
    if long > LONGEST_SHAPE * short:
        return [Remark(level=RED, kind="stripe", message=f"{width}x{height} is a stripe; crop it.")]
    found: list[Remark] = []
    if short < resolution:
        much = "less than half of" if short * 2 < resolution else "smaller than"
        message = f"{width}x{height} is {much} the {resolution} pixels it is trained at; it will be enlarged."
        found.append(Remark(level=AMBER, kind="small", message=message))
    if not plan.buckets and long >= MUCH * short:
        message = f"Its sides are {long / short:.1f} to 1: {round(100 * (1 - short / long))} % of it is cut off."
        found.append(Remark(level=AMBER, kind="shape", message=message))
    return found
