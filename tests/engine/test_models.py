"""What is in memory, and what is worked out once."""

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from modules.core.errors import InvalidModelFile, NoModel
from modules.core.named import Names
from modules.core.requests import ModelRecord
from modules.engine import models as models_module
from modules.engine.memory import is_out_of_memory, memory
from modules.engine.models import MOST_TEXTS, Loaded, Models
from modules.families.built import BuildOptions, LatentColours
from modules.families.kinds.sd15 import register_families
from tests.engine.engine_process import record_of


@pytest.fixture
def told() -> list[Loaded]:
    return []


@pytest.fixture
def models(told: list[Loaded]) -> Models:
    return Models(Names("family", register_families()), BuildOptions(half=False), told.append)


@pytest.fixture
def copies(small_file: Path, tmp_path: Path) -> list[ModelRecord]:
    """Three models that differ in their files only."""
    paths = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for path in paths:
        shutil.copyfile(small_file, path)
    return [record_of(path) for path in paths]


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


@pytest.mark.parametrize(("limit", "kept"), [(1, 1), (2, 2), (3, 3)])
def test_so_many_models_stay_in_memory(limit: int, kept: int, record: ModelRecord, copies: list[ModelRecord]) -> None:
    models = Models(Names("family", register_families()), BuildOptions(half=False), limit=limit)
    loaded = [models.get(one) for one in copies]
    assert [models.holds(one) for one in copies] == [False] * (3 - kept) + [True] * kept
    assert models.current is loaded[-1]
    assert models.get(copies[-1]) is loaded[-1]


def test_the_one_used_longest_ago_goes_first(copies: list[ModelRecord]) -> None:
    models = Models(Names("family", register_families()), BuildOptions(half=False), limit=2)
    first, second, third = copies
    models.get(first)
    models.get(second)
    models.get(first)
    models.get(third)
    assert [models.holds(one) for one in copies] == [True, False, True]


def test_when_memory_is_short_only_one_stays(copies: list[ModelRecord], monkeypatch: pytest.MonkeyPatch) -> None:
    models = Models(Names("family", register_families()), BuildOptions(half=False), limit=3)
    first, second, third = copies
    models.get(first)
    models.get(second)
    nothing = SimpleNamespace(available=0)
    monkeypatch.setattr(models_module.psutil, "virtual_memory", lambda: nothing)
    models.get(third)
    assert [models.holds(one) for one in copies] == [False, True, True], "one to fall back on, and the new one"


def test_a_model_in_fewer_bits_is_another_one(models: Models, record: ModelRecord) -> None:
    models.limit = 2
    whole, halved = models.get(record), models.get(record, "Enable")
    assert whole is not halved
    assert models.holds(record)
    assert models.holds(record, "Enable")
    assert models.get(record, "Enable") is halved


def test_what_was_worked_out_lately_is_remembered(models: Models, record: ModelRecord) -> None:
    loaded, worked = models.get(record), []

    def work(key: int) -> object:
        return loaded.remembered((key,), lambda: worked.append(key) or object())

    first = work(0)
    for number in range(1, MOST_TEXTS):
        work(number)
        assert work(0) is first
    work(MOST_TEXTS)
    work(MOST_TEXTS + 1)
    assert len(loaded.texts) == MOST_TEXTS
    assert work(0) is first
    assert work(1) is not None
    assert worked.count(0) == 1
    assert worked.count(1) == 2


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
