"""Tiny real models with random weights (about two million numbers), plans, and things to learn from without pictures."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.core.training import TrainingPlan
from modules.families import random_weights
from modules.families.built import BuildOptions, Built
from modules.families.checkpoint import build
from modules.prompts.tokens import Tokenizer
from modules.training.batch import Batch
from modules.training.learner import Learner, ParameterGroup

SIDE = 8  # of the latents


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A small checkpoint of a family (`random_weights.ARCHITECTURES`: sd1, sd2-v, sdxl, …)."""

    @cache
    def write(family: str = "sd1") -> Path:
        path = tmp_path_factory.mktemp(family) / "tiny.safetensors"
        random_weights.write(path, random_weights.small(family), seed=0, family=family)
        return path

    return write


@pytest.fixture(scope="session")
def tiny(tiny_file: Callable[[str], Path]) -> Callable[[str], Built]:
    """The model of that checkpoint in float32, the same object each time: leave it as it was."""

    @cache
    def built(family: str = "sd1") -> Built:
        path, architecture = tiny_file(family), random_weights.ARCHITECTURES[family]
        return build(path, BuildOptions(half=False), family=family, architecture=architecture)

    return built


@pytest.fixture
def fresh(tiny: Callable[[str], Built]) -> Callable[..., Built]:
    """A copy of it that may be changed."""

    def copied(family: str = "sd1") -> Built:
        known = tiny(family)
        return replace(known, **{part: deepcopy(network) for part, network in known.networks.items()})

    return copied


@pytest.fixture(scope="session")
def tokenizer(tiny: Callable[[str], Built]) -> Tokenizer:
    return Tokenizer(tiny("sd1").tokenizer_folder)


@pytest.fixture(scope="session")
def plan_of() -> Callable[..., TrainingPlan]:
    """A plan as the desk would hand it on; fields may be given."""

    def make(**known: Any) -> TrainingPlan:
        usual: dict[str, Any] = {
            "method": "dreambooth",
            "name": "my-cat",
            "class_noun": "cat",
            "instance_prompt": "a photo of sks cat",
            "class_prompt": "a photo of cat",
            "max_train_steps": 4,
            "learning_rate": 1e-4,
            "text_encoder_lr": 5e-5,
            "mixed_precision": "no",
            "resolution": 64,
            "seed": 5,
            "pictures": ("a",),
        }
        return TrainingPlan(**(usual | known))

    return make


class RandomBatches:
    """Things to learn from that no picture is behind: latents and texts that follow from their number."""

    def __init__(self, plan: TrainingPlan, width: int = 32, family: str = "sd1") -> None:
        self.plan, self.width, self.vector = plan, width, family.startswith("sdxl")

    def batch(self, step: int, micro: int = 0, rank: int = 0, ranks: int = 1) -> Batch:
        from modules.training.chance import Purpose, generator, rows

        halves = (0, Purpose.PRIOR) if self.plan.with_prior_preservation else (0,)
        numbers = [(row, half) for half in halves for row in rows(self.plan, micro, rank, ranks)]

        def drawn(*shape: int, kind: int) -> Tensor:
            chances = [generator(self.plan.seed, step, row, kind + half) for row, half in numbers]
            return torch.stack([torch.randn(shape, generator=one) for one in chances])

        return Batch(
            latents=drawn(4, SIDE, SIDE, kind=Purpose.LATENTS),
            text=drawn(77, self.width, kind=Purpose.CAPTION),
            priors=len(numbers) // 2 if self.plan.with_prior_preservation else 0,
        )

    def epoch(self, step: int) -> float:
        return step / 4


@pytest.fixture(scope="session")
def batches_of() -> Callable[..., RandomBatches]:
    return RandomBatches


@contextmanager
def taught(model: Built, plan: TrainingPlan, *parts: str) -> Generator[Learner, None, None]:
    """A stand-in for a method: all weights of the U-Net, or of these parts of the model, learn."""
    rates = {"unet": plan.learning_rate}
    networks = {part: getattr(model, part) for part in parts or ("unet",)}
    groups = tuple(
        ParameterGroup(
            name=part,
            parameters=list(network.parameters()),
            learning_rate=rates.get(part, plan.text_encoder_lr),
            stop=1.0 if part == "unet" else plan.stop_text_encoder,
        )
        for part, network in networks.items()
    )
    named = {f"{part}.{name}": one for part, network in networks.items() for name, one in network.named_parameters()}
    yield Learner(groups=groups, named=named, export=lambda format, number: [], reads="text_encoder" in networks)


@pytest.fixture(scope="session")
def learner_of() -> Callable[..., Learner]:
    """The stand-in's learner without its block, which has nothing to restore."""

    def of(model: Built, plan: TrainingPlan, *parts: str) -> Learner:
        with taught(model, plan, *parts) as learner:
            return learner

    return of
