"""Trainings of a tiny random model on drawn pictures, in this process, with real files."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

from modules.core import events
from modules.core.requests import ModelRecord
from modules.core.training import TrainingPlan
from modules.engine.job import JobContext
from modules.engine.training import run
from tests.engine.in_this_process import Listening, context_of


def picture(number: int) -> bytes:
    """A disc on a ground, each time elsewhere."""
    image = Image.new("RGB", (80, 72), (40 * number % 256, 90, 160))
    ImageDraw.Draw(image).ellipse((10 + 5 * number, 20, 50 + 5 * number, 60), fill=(240, 200, 20))
    written = io.BytesIO()
    image.save(written, "PNG")
    return written.getvalue()


PICTURES = {f"p{number}": picture(number) for number in range(3)}


class Trained:
    """A training in this process: its folder, what it said, what it left on the shelves."""

    def __init__(self, root: Path, record: ModelRecord, plan: TrainingPlan, job: str) -> None:
        self.root, self.record, self.plan, self.job = root, record, plan, job
        self.context: JobContext
        self.heard: Listening
        self.renew()

    def renew(self) -> None:
        """Another attempt: nothing of the former one is in memory."""
        inputs = tuple(events.InputPicture(id=id, data=data) for id, data in PICTURES.items())
        job = events.RunJob(job=self.job, kind="train", request=self.plan, models=(self.record,), inputs=inputs)
        context, self.heard = context_of(job)
        self.context = replace(
            context,
            loras=self.root / "Lora",
            embeddings=self.root / "embeddings",
            checkpoints=self.root / "Stable-diffusion",
            training=self.root / "training",
        )

    def run(self) -> "Trained":
        run.run(self.plan, self.context)
        return self

    @property
    def folder(self) -> Path:
        return self.root / "training" / (self.plan.run or self.job)

    def json(self, name: str) -> Any:
        import json

        return json.loads((self.folder / name).read_text())

    @property
    def status(self) -> Any:
        return self.json("status.json")

    @property
    def log(self) -> list[dict[str, Any]]:
        import json

        return [json.loads(line) for line in (self.folder / "log.jsonl").read_text().splitlines()]

    def losses(self) -> list[tuple[int, float]]:
        return [(line["step"], line["loss"]) for line in self.log]


@pytest.fixture(scope="session")
def plan_of() -> Callable[..., TrainingPlan]:
    """A plan as the desk hands it on; fields may be given."""

    def make(**known: Any) -> TrainingPlan:
        usual: dict[str, Any] = {
            "method": "lora",
            "model": "small.safetensors",
            "name": "my-cat",
            "class_noun": "cat",
            "identifier": "sks",
            "instance_prompt": "a photo of sks cat",
            "class_prompt": "a photo of a cat",
            "class_steps": 2,
            "pictures": tuple(PICTURES),
            "names": tuple(f"{id}.png" for id in PICTURES),
            "resolution": 64,
            "rank": 4,
            "alpha": 8.0,
            "max_train_steps": 6,
            "learning_rate": 1e-3,
            "mixed_precision": "no",
            "seed": 5,
            "preview_prompts": ("a photo of sks cat", "a photo of a cat"),
            "preview_steps": 2,
            "preview_every": 3,
            "save_every": 2,
        }
        return TrainingPlan(**(usual | known))

    return make


@pytest.fixture
def train(tmp_path: Path, record: ModelRecord, plan_of: Callable[..., TrainingPlan]) -> Callable[..., Trained]:
    """A training that is set up and not yet run."""

    def prepared(job: str = "job-1", record: ModelRecord = record, **known: Any) -> Trained:
        torch.set_num_threads(1)
        return Trained(tmp_path, record, plan_of(**known), job)

    return prepared


@pytest.fixture(scope="session")
def done(
    tmp_path_factory: pytest.TempPathFactory, record: ModelRecord, plan_of: Callable[..., TrainingPlan]
) -> Trained:
    """A LoRA's training that came to its end; tests only look at it."""
    torch.set_num_threads(1)
    plan = plan_of(formats=("kohya", "peft"), save_precision="fp32")
    return Trained(tmp_path_factory.mktemp("trained"), record, plan, "job-1").run()
