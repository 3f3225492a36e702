"""Real, small Stable Diffusion 1.x files with random weights; written once per run."""

from pathlib import Path
from typing import Any

import pytest

from modules.families import random_weights


@pytest.fixture(scope="session")
def config() -> dict[str, dict[str, Any]]:
    """The networks' configuration of the small model."""
    return random_weights.small()


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint of about 2 million parameters, in float16, in the original layout."""
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    random_weights.write(path, random_weights.small(), seed=0)
    return path
