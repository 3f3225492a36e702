"""Class pictures: what the model draws of the class before it learns (Ruiz et al. 2022, arXiv:2208.12242, §3.2).

Drawn by our own engine from the untouched model, kept by everything that decides about them, and used by every
training that wants the same. Only those that are missing are drawn.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

from modules.core.errors import StorageFailed
from modules.core.files import write_atomically
from modules.core.requests import ImageRequest, ModelRecord
from modules.core.training import TrainingPlan
from modules.engine.inner import drawn
from modules.engine.job import JobContext
from modules.engine.models import Loaded

FOLDER, ABOUT, UNWANTED = "class-pictures", "about.json", ".unwanted"
AT_A_TIME = {"cuda": 8}
ELSEWHERE_AT_A_TIME = 4
BLOCK = 1 << 20


class ClassPictures:
    """The class pictures of a plan. A file `<seed>.unwanted` stands for one that somebody threw out: the next seed is
    taken for it."""

    def __init__(self, plan: TrainingPlan, root: Path, record: ModelRecord) -> None:
        self._plan, self._record = plan, record
        self._made_of: dict[str, Any] = {
            "sha256": hash_of(record),
            "prompt": plan.class_prompt,
            "sampler": plan.class_sampler,
            "steps": plan.class_steps,
            "cfg_scale": cfg_scale(plan.class_cfg_scale),
            "width": plan.resolution,
            "height": plan.resolution,
        }
        text = json.dumps(self._made_of, sort_keys=True)
        self.folder = root / FOLDER / hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def seeds(self) -> list[int]:
        """Which pictures the plan asks for."""
        wanted = (seed for seed in count(self._plan.class_seed) if not self._file(seed, UNWANTED).exists())
        return list(islice(wanted, self._plan.num_class_images))

    @property
    def missing(self) -> list[int]:
        """Those of them that are not there yet."""
        return [seed for seed in self.seeds if not self._file(seed).exists()]

    def draw(self, context: JobContext, loaded: Loaded, on_progress: Callable[[int, int], None]) -> None:
        """Draw what is missing; `on_progress` is told how many of how many are there. Raises Cancelled, StorageFailed."""
        missing = self.missing
        there = self._plan.num_class_images - len(missing)
        if missing:
            self._describe()
        for seeds in _batches(missing, AT_A_TIME.get(loaded.built.device.type, ELSEWHERE_AT_A_TIME)):
            on_progress(there, self._plan.num_class_images)
            for one in drawn(self.request(seeds), context, loaded):
                write_atomically(self._file(one.seed), one.png)
            there += len(seeds)
        on_progress(there, self._plan.num_class_images)

    def request(self, seeds: Sequence[int]) -> ImageRequest:
        """What draws these pictures, whose seeds follow each other."""
        made_of = self._made_of
        return ImageRequest(
            prompt=self._plan.class_prompt,
            model=self._record.title,
            sampler=self._plan.class_sampler,
            steps=self._plan.class_steps,
            cfg_scale=made_of["cfg_scale"],
            width=made_of["width"],
            height=made_of["height"],
            seed=seeds[0],
            batch_size=len(seeds),
        )

    def contents(self) -> list[bytes]:
        """The files of the pictures. Raises StorageFailed when one is gone again."""
        try:
            return [self._file(seed).read_bytes() for seed in self.seeds]
        except OSError as error:
            raise StorageFailed(f"A class picture could not be read: {error.strerror or error}") from error

    def _describe(self) -> None:
        about = self._made_of | {"model": self._record.title, "name": self._record.name}
        write_atomically(self.folder / ABOUT, json.dumps(about, ensure_ascii=False, indent=1).encode())

    def _file(self, seed: int, ending: str = ".png") -> Path:
        return self.folder / f"{seed}{ending}"


def _batches(seeds: Sequence[int], most: int) -> Iterator[list[int]]:
    """Seeds that follow each other, so many at a time: picture i of a request has the seed of the first plus i."""
    batch: list[int] = []
    for seed in seeds:
        if batch and (seed != batch[-1] + 1 or len(batch) == most):
            yield batch
            batch = []
        batch.append(seed)
    if batch:
        yield batch


def cfg_scale(asked: float) -> float:
    """0 stands for what txt2img begins with."""
    return asked or ImageRequest().cfg_scale


def hash_of(record: ModelRecord) -> str:
    """The SHA-256 of a checkpoint: as the library knows it, else of the file, or of all files of a folder."""
    if record.sha256:
        return record.sha256
    path = Path(record.path)
    digest = hashlib.sha256()
    for file in sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]:
        with file.open("rb") as content:
            while block := content.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()
