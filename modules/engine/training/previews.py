"""Pictures on the way: the same prompts and the same seed again and again, drawn as txt2img will draw them."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from modules.core.events import ImageReady
from modules.core.files import write_atomically
from modules.core.requests import FileRecord, ImageRequest
from modules.core.training import TrainingPlan
from modules.engine.embeddings import hold
from modules.engine.inner import OnProgress, drawn
from modules.engine.job import JobContext
from modules.engine.models import Loaded
from modules.engine.training.classes import cfg_scale
from modules.imaging.grid import grid
from modules.imaging.metadata import preview_jpeg

HOW_MANY = 10  # when nobody said how often
LORA, EMBEDDING, CHECKPOINT = "lora", "embedding", "checkpoint"


@dataclass(frozen=True, kw_only=True)
class Previews:
    """The previews of a plan. `kind`: what its result is; `name`: the file name it is going to have.

    What is written into a picture names the result as it will be used, so that the text draws the picture again:
    a LoRA's tag, an embedding's word, a checkpoint's name.
    """

    plan: TrainingPlan
    context: JobContext
    kind: str
    name: str

    def due(self, step: int) -> bool:
        """Whether previews belong behind this step: the first and the last always, -1 for none in between."""
        plan = self.plan
        if not plan.preview_prompts:
            return False
        if step in (0, plan.max_train_steps):
            return True
        return self._every > 0 and step % self._every == 0

    def left(self, step: int) -> int:
        """How many times they are still drawn behind this step."""
        last = self.plan.max_train_steps
        if not self.plan.preview_prompts or step >= last:
            return 0
        return 1 + ((last - 1) // self._every - step // self._every if self._every > 0 else 0)

    @property
    def _every(self) -> int:
        return self.plan.preview_every or max(1, round(self.plan.max_train_steps / HOW_MANY))

    def request(self, prompt: str, seed: int | None = None) -> ImageRequest:
        """One picture of a prompt."""
        plan = self.plan
        return ImageRequest(
            prompt=prompt,
            sampler=plan.preview_sampler,
            steps=plan.preview_steps,
            cfg_scale=cfg_scale(plan.preview_cfg_scale),
            width=plan.resolution,
            height=plan.resolution,
            seed=plan.preview_seed if seed is None else seed,
        )

    def prompt(self, number: int) -> str:
        """What preview `number` shows: the plan's prompt with the result's name in it, or the instance prompt."""
        prompts = self.plan.preview_prompts or (self.plan.instance_prompt,)
        text = prompts[number]
        if self.kind == EMBEDDING and self.plan.name and self.plan.name != self.name:
            return text.replace(self.plan.name, self.name)
        return f"<lora:{self.name}:1> {text}" if self.kind == LORA else text

    def untrained(self, loaded: Loaded, on_progress: OnProgress | None = None) -> list[ImageReady]:
        """What the model draws before it learns; a word that it does not know yet stays in the text."""
        requests = [self.request(text) for text in self.plan.preview_prompts]
        return [self._one(one, loaded, (), number, on_progress) for number, one in enumerate(requests)]

    def learned(
        self, loaded: Loaded, vectors: Mapping[str, Mapping[str, Tensor]], on_progress: OnProgress | None = None
    ) -> list[ImageReady]:
        """What the model draws now; the subject alone for a plan without prompts."""
        files = self.files(vectors)
        named = self._named(loaded)
        requests = [self.request(self.prompt(number)) for number in range(max(1, len(self.plan.preview_prompts)))]
        return [self._one(one, named, files, number, on_progress) for number, one in enumerate(requests)]

    def subject(self, loaded: Loaded, vectors: Mapping[str, Mapping[str, Tensor]]) -> ImageReady:
        """The subject alone, for a plan without prompts."""
        return self._one(self.request(self.prompt(0)), self._named(loaded), self.files(vectors), 0, None)

    def files(self, vectors: Mapping[str, Mapping[str, Tensor]]) -> tuple[FileRecord, ...]:
        """Records that stand for embeddings as they are at this moment, under the names they are going to have."""
        records: list[FileRecord] = []
        for name, tables in vectors.items():
            now = {encoder: table.detach().float().clone() for encoder, table in tables.items()}
            final = self.name if name == self.plan.name else name
            path = f"in memory: {self.context.job.job} {final}"
            record = FileRecord(kind=EMBEDDING, name=final, path=path, size=0, modified=0)
            hold(record, now)
            records.append(record)
        return tuple(records)

    def _named(self, loaded: Loaded) -> Loaded:
        """A checkpoint is called what it is going to be called; its hash is not known yet."""
        if self.kind != CHECKPOINT:
            return loaded
        path = str(self.context.checkpoints / f"{self.name}.safetensors")
        record = replace(loaded.record, name=self.name, title=f"{self.name}.safetensors", path=path, sha256="")
        return replace(loaded, record=record)

    def _one(
        self,
        request: ImageRequest,
        loaded: Loaded,
        files: tuple[FileRecord, ...],
        number: int,
        on_progress: OnProgress | None,
    ) -> ImageReady:
        many = max(1, len(self.plan.preview_prompts))

        def on_part(part: float) -> None:
            if on_progress:
                on_progress((number + part) / many)

        (picture,) = drawn(request, self.context, loaded, files=files, on_progress=on_part)
        return picture


def keep(folder: Path, pictures: list[ImageReady]) -> None:
    """Write the pictures of one moment: `0.png` and so on. Raises StorageFailed."""
    for number, one in enumerate(pictures):
        write_atomically(folder / f"{number}.png", one.png)


def jpeg_of(pictures: list[ImageReady]) -> bytes:
    """All of them side by side, small."""
    opened = [opened_png(one.png) for one in pictures]
    return preview_jpeg(opened[0] if len(opened) == 1 else grid(opened), 768)


def opened_png(png: bytes) -> Image.Image:
    """A picture of our own."""
    return Image.open(io.BytesIO(png)).convert("RGB")


def difference(one: bytes, other: bytes) -> float:
    """The mean difference of two pictures of one size: of their bytes, 0 to 255."""
    first, second = (_tensor(opened_png(png)) for png in (one, other))
    return float((first - second).abs().mean())


def _tensor(picture: Image.Image) -> Tensor:
    return torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).float()
