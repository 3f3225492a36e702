"""When memory runs out: less at a time, and the same pictures. Running out is made by a network that raises."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from modules.core.errors import OutOfMemory
from modules.core.requests import ImageRequest
from modules.engine.thrift import Thrift, ladder, with_thrift

CPU = torch.device("cpu")
NO_ROOM = "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"


def test_each_rung_needs_less() -> None:
    rungs = [(one.together, one.split, one.frugal) for one in ladder(ImageRequest(batch_size=8))]
    single = [(1, False, False), (1, True, False), (1, True, True)]
    assert rungs == [(8, False, False), (4, False, False), (2, False, False), *single]
    assert [one.together for one in ladder(ImageRequest(batch_size=5))] == [5, 3, 2, 1, 1, 1]
    assert [one.together for one in ladder(ImageRequest(batch_size=8), alone=True)] == [1, 1, 1]
    plain = [one.split for one in ladder(ImageRequest(cfg_scale=1))]
    assert plain == [False, True], "without a negative prompt there is nothing to split"


def drawing(fails: Callable[[Thrift], bool], error: Exception) -> tuple[list[Thrift], Callable[[Thrift], str]]:
    tried: list[Thrift] = []

    def draw(thrift: Thrift) -> str:
        tried.append(thrift)
        if fails(thrift):
            raise error
        return "drawn"

    return tried, draw


def test_it_stops_at_the_first_that_fits_and_says_so() -> None:
    tried, draw = drawing(lambda one: one.together > 2, RuntimeError(NO_ROOM))
    notes: list[str] = []
    assert with_thrift(ImageRequest(batch_size=8), CPU, notes, draw) == "drawn"
    assert [one.together for one in tried] == [8, 4, 2]
    assert notes == ["Memory was short; the pictures were drawn 2 at a time."]


def test_when_it_fits_nothing_is_said() -> None:
    notes: list[str] = []
    assert with_thrift(ImageRequest(), CPU, notes, lambda one: "drawn") == "drawn"
    assert notes == []


def test_when_nothing_helps_it_is_a_sentence() -> None:
    tried, draw = drawing(lambda one: True, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(OutOfMemory, match="for a picture of 1024x512; make it smaller"):
        with_thrift(ImageRequest(width=512, height=256, enable_hr=True), CPU, [], draw)
    assert len(tried) == 3


@pytest.mark.parametrize("error", [RuntimeError("shapes cannot be multiplied"), ValueError("no"), KeyError("x")])
def test_other_errors_are_not_tried_again(error: Exception) -> None:
    tried, draw = drawing(lambda one: True, error)
    with pytest.raises(type(error)):
        with_thrift(ImageRequest(batch_size=4), CPU, [], draw)
    assert len(tried) == 1


def test_what_failed_is_not_kept() -> None:
    """A traceback holds frames, and those the tensors there was no room for."""
    seen: list[Any] = []

    def draw(thrift: Thrift) -> None:
        error = RuntimeError(NO_ROOM)
        seen.append(error)
        raise error

    with pytest.raises(OutOfMemory):
        with_thrift(ImageRequest(batch_size=2), CPU, [], draw)
    assert all(one.__traceback__ is None for one in seen)
