"""A job whose device runs out of memory, in this process: it is made to, above a number of rows or a size of latents."""

import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.core.errors import OutOfMemory
from modules.core.events import ImageReady, RunJob
from modules.core.plugins import Plugins
from modules.core.requests import ImageRequest, ModelRecord
from modules.engine import generate
from modules.engine.connection import Connection
from modules.engine.job import JobContext, Wishes
from modules.engine.models import Models
from modules.engine.status import Status
from modules.engine_main import PLUGIN_PACKAGES
from modules.families.built import BuildOptions

Make = Callable[..., ImageRequest]
NO_ROOM = "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to allocate"


class Sent(Connection):
    """Messages are framed and written as always, to memory; pictures are kept."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.pictures: list[ImageReady] = []

    def send(self, message: Any) -> None:
        super().send(message)
        self.pictures += [message] if isinstance(message, ImageReady) else []


class Here:
    """The engine's parts without its process."""

    def __init__(self, record: ModelRecord) -> None:
        self.plugins = Plugins("engine")
        for package in PLUGIN_PACKAGES:
            self.plugins.add_package(package)
        self.record = record
        self.models = Models(self.plugins.collect("register_families"), BuildOptions(half=False))
        self.built = self.models.get(record).built

    def draw(self, request: ImageRequest) -> tuple[list[ImageReady], list[str]]:
        """(pictures, remarks)."""
        sent = Sent()
        context = JobContext(
            job=RunJob(job="j", kind="image", request=request, models=(self.record,), preview_every=0),
            models=self.models,
            plugins=self.plugins,
            connection=sent,
            status=Status(sent, torch.device("cpu")),
            wishes=Wishes(),
            ending=threading.Event(),
        )
        generate.run(request, context)
        return sent.pictures, context.notes


@pytest.fixture(scope="module")
def here(record: ModelRecord) -> Here:
    return Here(record)


@pytest.fixture
def room_for(here: Here) -> Iterator[Callable[..., None]]:
    """From now on the network takes so many rows at a time, the autoencoder latents of this height."""
    predict, decode = here.built.predict, here.built.decode

    def limit(rows: int = 99, height: int = 999) -> None:
        def small_predict(x: torch.Tensor, *rest: Any) -> torch.Tensor:
            if len(x) > rows:
                raise RuntimeError(NO_ROOM)
            return predict(x, *rest)

        def small_decode(latents: torch.Tensor) -> torch.Tensor:
            if latents.shape[2] > height:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return decode(latents)

        here.built.__dict__ |= {"predict": small_predict, "decode": small_decode}

    yield limit
    for name in ("predict", "decode"):
        here.built.__dict__.pop(name, None)


def pixels(found: list[ImageReady]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(io.BytesIO(one.png)).convert("RGB")).astype(int) for one in found])


@pytest.mark.parametrize(
    ("rows", "note"),
    [(8, ""), (4, "2 at a time"), (2, "1 at a time"), (1, "took turns")],
)
def test_the_same_pictures_come_with_less(
    here: Here, room_for: Callable[..., None], request_of: Make, rows: int, note: str
) -> None:
    request = request_of(batch_size=4, cfg_scale=5)
    expected, nothing = here.draw(request)
    assert nothing == []
    room_for(rows=rows)
    found, notes = here.draw(request)
    assert [one.index for one in found] == [0, 1, 2, 3]
    assert abs(pixels(found) - pixels(expected)).max() <= 2
    assert notes == ([] if not note else [one for one in notes if note in one])


def test_what_was_delivered_is_not_sent_again(here: Here, room_for: Callable[..., None], request_of: Make) -> None:
    """Memory runs out while the third picture is decoded: the first two have been sent."""
    request, sent = request_of(batch_size=4), []
    decode, broken = here.built.decode, []

    def fails_once(latents: torch.Tensor) -> torch.Tensor:
        sent.append(1)
        if len(sent) in (3, 4):  # whole, then in tiles
            broken.append(1)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(latents)

    room_for()
    here.built.__dict__["decode"] = fails_once
    found, _ = here.draw(request)
    assert sorted(one.index for one in found) == [0, 1, 2, 3]
    assert broken


def test_a_picture_too_large_to_decode_comes_in_tiles(
    here: Here, room_for: Callable[..., None], request_of: Make
) -> None:
    request = request_of(width=64, height=1024, steps=1)
    expected, _ = here.draw(request)
    room_for(height=100)
    found, notes = here.draw(request)
    assert "the autoencoder worked in tiles" in " ".join(notes)
    assert abs(pixels(found) - pixels(expected)).mean() < 3


def test_nothing_helps(here: Here, room_for: Callable[..., None], request_of: Make) -> None:
    room_for(rows=0)
    with pytest.raises(OutOfMemory, match="not enough memory for a picture of 64x64"):
        here.draw(request_of(batch_size=2))
    room_for()
    assert len(here.draw(request_of())[0]) == 1, "the next job works"


def test_numbers_that_are_none_are_never_a_picture(here: Here, request_of: Make) -> None:
    from modules.core.errors import NotFinite

    weight = next(here.built.unet.parameters())
    before = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.fill_(float("nan"))
        with pytest.raises(NotFinite, match="not finite"):
            here.draw(request_of())
    finally:
        with torch.no_grad():
            weight.copy_(before)
    assert len(here.draw(request_of())[0]) == 1
