"""Small real models and running engines."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modules.core import events
from modules.core.requests import ImageRequest, ModelRecord
from modules.families import random_weights
from tests.engine.engine_process import Engine, record_of


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    random_weights.write(path, random_weights.small(), seed=0)
    return path


@pytest.fixture(scope="session")
def record(small_file: Path) -> ModelRecord:
    return record_of(small_file)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """One process for the tests that leave it as they found it."""
    engine = Engine()
    yield engine
    engine.stop()


@pytest.fixture
def new_engine() -> Iterator[Callable[..., Engine]]:
    """Processes of a test's own."""
    started: list[Engine] = []

    def start(options: events.EngineOptions | None = None) -> Engine:
        started.append(Engine(options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def request_of() -> Callable[..., ImageRequest]:
    """A small request; fields may be given."""

    def make(**known: Any) -> ImageRequest:
        defaults: dict[str, Any] = {
            "prompt": "a (red:1.2) cat",
            "negative_prompt": "blurry",
            "width": 64,
            "height": 64,
            "steps": 3,
            "seed": 7,
        }
        return ImageRequest(**(defaults | known))

    return make
