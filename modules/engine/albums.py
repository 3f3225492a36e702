"""Pictures that are drawn to be measured, kept by everything that decides about them: none is drawn twice."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from modules.core.files import write_atomically
from modules.core.requests import FileRecord, ImageRequest
from modules.engine.inner import drawn
from modules.engine.job import JobContext
from modules.engine.models import Loaded
from modules.imaging.resize import CROP, resized

AT_A_TIME = {"cuda": 8}
ELSEWHERE_AT_A_TIME = 4

OnPicture = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Album:
    """Where a model's pictures lie: `root`/<what they are made of>/<seed>.png.

    `known_as`: what the model and the files are, to the byte. `request`: everything but text and seed.
    """

    context: JobContext
    loaded: Loaded
    request: ImageRequest
    root: Path
    known_as: str
    files: tuple[FileRecord, ...] = ()
    spoken: Callable[[str], str] = field(default=lambda text: text)

    def pictures(self, text: str, seeds: Sequence[int], on_picture: OnPicture) -> list[Path]:
        """A prompt's pictures, one for each seed; seeds follow each other. `on_picture` is told how many were added.

        Raises Cancelled, Ending, StorageFailed, and what drawing raises.
        """
        folder = self.root / self._key(text)
        missing = [seed for seed in seeds if not (folder / f"{seed}.png").exists()]
        on_picture(len(seeds) - len(missing))
        most = AT_A_TIME.get(self.loaded.built.device.type, ELSEWHERE_AT_A_TIME)
        while missing:
            count = next((n for n in range(1, len(missing)) if missing[n] != missing[0] + n), len(missing))
            self._draw(folder, text, missing[: min(count, most)])
            on_picture(min(count, most))
            missing = missing[min(count, most) :]
        return [folder / f"{seed}.png" for seed in seeds]

    def _draw(self, folder: Path, text: str, seeds: Sequence[int]) -> None:
        request = self._asked(text, seeds[0], len(seeds))
        for one in drawn(request, self.context, self.loaded, files=self.files, notes=self.context.notes):
            write_atomically(folder / f"{one.seed}.png", one.png)

    def _asked(self, text: str, seed: int, count: int) -> ImageRequest:
        model = self.loaded.record.title
        return replace(self.request, prompt=self.spoken(text), seed=seed, batch_size=count, model=model)

    def _key(self, text: str) -> str:
        made_of = [self.known_as, self.spoken(text), sorted(_plain(self.request).items())]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]


def _plain(request: ImageRequest) -> dict[str, object]:
    """The fields in which pictures for measuring can differ."""
    names = ("negative_prompt", "sampler", "steps", "cfg_scale", "width", "height")
    return {name: getattr(request, name) for name in names}


def linked(pictures: Sequence[Path], folder: Path) -> list[Path]:
    """The same pictures in a folder too, without their bytes twice where the disk can do that."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in pictures:
        target = folder / one.name
        if target.exists():
            continue
        try:
            target.hardlink_to(one)
        except OSError:  # another disk, or one without links
            shutil.copyfile(one, target)
    return [folder / one.name for one in pictures]


def pixels(pictures: Sequence[Path], side: int) -> Tensor:
    """Files of pictures as (n, 3, side, side), float, -1 to 1; what is not square loses its ends."""
    rows: list[Tensor] = []
    for path in pictures:
        with Image.open(path) as image:
            square = resized(image.convert("RGB"), side, side, CROP)
        rows.append(torch.from_numpy(np.array(square)).permute(2, 0, 1))
    return torch.stack(rows).float() / 127.5 - 1 if rows else torch.empty(0, 3, side, side)
