"""What is in memory, and what is worked out once."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.core.errors import InvalidModelFile, NoModel
from modules.core.named import Names
from modules.core.requests import ImageRequest, ModelRecord
from modules.engine import models as models_module
from modules.engine.memory import is_out_of_memory, memory
from modules.engine.models import MOST_TEXTS, Loaded, Models
from modules.families.built import BuildOptions, LatentColours
from modules.families.kinds.sd15 import register_families
from tests.engine.engine_process import record_of

Make = Callable[..., ImageRequest]


@pytest.fixture
def told() -> list[Loaded]:
    return []


@pytest.fixture
def models(told: list[Loaded]) -> Models:
    return Models(Names("family", register_families()), BuildOptions(half=False), told.append)


def test_a_model_is_loaded_once_and_told_once(models: Models, told: list[Loaded], record: ModelRecord) -> None:
    first = models.get(record)
    assert models.get(record) is first
    assert told == [first]
    assert models.holds(record)


def test_the_same_file_with_more_known_about_it_is_not_loaded_again(models: Models, record: ModelRecord) -> None:
    first = models.get(record)
    again = models.get(dataclasses.replace(record, sha256="ab" * 32, title="small [abababab]"))
    assert again is first
    assert again.record.short_hash == "ab" * 5


def test_a_file_that_changed_is_loaded_again(models: Models, record: ModelRecord) -> None:
    first = models.get(record)
    assert models.get(dataclasses.replace(record, modified=record.modified + 1)) is not first


def test_a_model_that_cannot_be_loaded_leaves_the_current_one(
    models: Models, told: list[Loaded], record: ModelRecord, tmp_path: Path
) -> None:
    first = models.get(record)
    (tmp_path / "bad.safetensors").write_bytes(b"bad")
    for path in (tmp_path / "bad.safetensors", tmp_path / "gone.safetensors", tmp_path):
        with pytest.raises(InvalidModelFile):
            models.get(record_of(path))
    assert models.get(record) is first
    assert len(told) == 1


def test_no_model_is_a_sentence(models: Models) -> None:
    with pytest.raises(NoModel, match="put one into models/Stable-diffusion"):
        models.get(None)


def test_unloading(models: Models, record: ModelRecord) -> None:
    models.get(record)
    models.unload()
    assert models.current is None
    assert not models.holds(record)


def test_a_prompt_is_encoded_once(models: Models, record: ModelRecord, request_of: Make, monkeypatch: Any) -> None:
    loaded, calls = models.get(record), []
    real = models_module.encode
    monkeypatch.setattr(models_module, "encode", lambda *given, **known: (calls.append(1), real(*given, **known))[1])
    first = loaded.embedding("a cat", request_of())
    assert loaded.embedding("a cat", request_of(steps=9)) is first
    assert first.shape == (1, 77, 32)
    assert len(calls) == 1
    for other in ({"clip_skip": 2}, {"emphasis": "Ignore"}, {"comma_backtrack": 3}):
        assert loaded.embedding("a cat", request_of(**other)) is not first
    assert loaded.embedding("cat " * 100, request_of()).shape == (1, 154, 32)


def test_only_the_latest_prompts_are_kept(models: Models, record: ModelRecord, request_of: Make) -> None:
    loaded = models.get(record)
    first = loaded.embedding("first", request_of())
    for number in range(MOST_TEXTS):
        loaded.embedding("first", request_of())
        loaded.embedding(f"cat {number}", request_of())
    assert len(loaded.texts) == MOST_TEXTS
    assert loaded.embedding("first", request_of()) is first


def test_colours_are_the_file_s_or_worked_out_once(models: Models, record: ModelRecord) -> None:
    loaded = models.get(record)
    assert loaded.colours is loaded.colours
    known = LatentColours(matrix=((1.0, 0.0, 0.0),) * 4, bias=(0.0, 0.0, 0.0))
    assert dataclasses.replace(loaded, built=dataclasses.replace(loaded.built, colours=known)).colours is known


def test_memory_is_told_in_bytes() -> None:
    used, total = memory(torch.device("cpu"))
    assert 10_000_000 < used < total


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Exception, is_memory: bool) -> None:
    assert is_out_of_memory(error) == is_memory
