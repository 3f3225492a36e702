"""Real, small models of every family with random weights; written once per run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from modules.core.extension_points import Family
from modules.families import random_weights
from modules.families.folder import shapes_of
from modules.families.kinds import sd2, sd15, sdxl, sdxl_refiner
from modules.families.recognise import family_of

START, END = 49406, 49407


@dataclass
class Chunk:
    """77 tokens as `prompts/chunks.py` makes them, padded with the end token."""

    tokens: Sequence[int]
    weights: Sequence[float] = (1.0,) * 77
    inserted: Sequence[Any] = field(default_factory=tuple)


@pytest.fixture(scope="session")
def chunk() -> Callable[..., Chunk]:
    def make(*content: int, weights: Sequence[float] = (), inserted: Sequence[Any] = ()) -> Chunk:
        padding = 75 - len(content)
        weighed = (1.0, *(weights or (1.0,) * len(content)), *(1.0,) * (padding + 1))
        return Chunk(tokens=(START, *content, *(END,) * (padding + 1)), weights=weighed, inserted=inserted)

    return make


@pytest.fixture(scope="session")
def families() -> list[Family]:
    """All built-in ones."""
    return [one for kind in (sd15, sd2, sdxl, sdxl_refiner) for one in kind.register_families()]


@pytest.fixture(scope="session")
def config() -> dict[str, dict[str, Any]]:
    """The networks' configuration of the small model."""
    return random_weights.small()


@pytest.fixture(scope="session")
def small_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A whole small checkpoint of a family (see `random_weights.ARCHITECTURES`), in float16, in the original layout."""

    @cache
    def write(family: str) -> Path:
        path = tmp_path_factory.mktemp(family) / "small.safetensors"
        random_weights.write(path, random_weights.small(family), seed=0, family=family)
        return path

    return write


@pytest.fixture(scope="session")
def small_file(small_of: Callable[[str], Path]) -> Path:
    """The one of Stable Diffusion 1.x, about 2 million parameters."""
    return small_of("sd1")


@pytest.fixture(scope="session")
def family_for(families: list[Family]) -> Callable[[Path], Family]:
    """The family that knows this file or folder."""
    return lambda path: family_of(shapes_of(path), families, path.name)
