"""Albums: what is drawn to be measured, once; and pictures as tensors."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from modules.core.requests import ImageRequest
from modules.engine import albums
from modules.engine.albums import Album, linked, pixels


@pytest.fixture
def drawing(monkeypatch):
    """Every request that would have been drawn; what comes out is a file that names its seed."""
    asked = []

    def drawn(request, context, loaded, *, files, notes):
        asked.append(request)
        seeds = range(request.seed, request.seed + request.batch_size)
        return [SimpleNamespace(seed=seed, png=f"picture {seed}".encode()) for seed in seeds]

    monkeypatch.setattr(albums, "drawn", drawn)
    return asked


@pytest.fixture
def album_of(tmp_path):
    def make(device="cpu", **known):
        built = SimpleNamespace(device=torch.device(device))
        loaded = SimpleNamespace(built=built, record=SimpleNamespace(title="model"))
        request = ImageRequest(steps=7, width=64, height=64)
        usual = {"context": SimpleNamespace(notes=[]), "loaded": loaded, "request": request, "root": tmp_path}
        return Album(**(usual | {"known_as": "hash"} | known))

    return make


def test_a_few_at_a_time_and_told_as_they_come(drawing, album_of):
    told = []
    found = album_of().pictures("a cat", range(3, 9), told.append)
    assert [(one.seed, one.batch_size) for one in drawing] == [(3, 4), (7, 2)]
    assert told == [0, 4, 2]
    assert [one.read_bytes() for one in found] == [f"picture {seed}".encode() for seed in range(3, 9)]
    assert {(one.prompt, one.steps, one.model) for one in drawing} == {("a cat", 7, "model")}


def test_a_graphics_card_draws_more_at_a_time(drawing, album_of):
    album_of("cuda").pictures("a cat", range(8), lambda count: None)
    assert [one.batch_size for one in drawing] == [8]


def test_only_what_is_missing_is_drawn(drawing, album_of):
    album = album_of()
    found = album.pictures("a cat", range(6), lambda count: None)
    drawing.clear()
    for seed in (1, 2, 4):
        found[seed].unlink()
    told = []
    assert album.pictures("a cat", range(6), told.append) == found
    assert [(one.seed, one.batch_size) for one in drawing] == [(1, 2), (4, 1)]
    assert told == [3, 2, 1]
    drawing.clear()
    album.pictures("a cat", range(6), told.append)
    assert not drawing


def test_everything_that_decides_about_a_picture_decides_about_its_place(drawing, album_of):
    def place(text="a cat", **known):
        return album_of(**known).pictures(text, range(1), lambda count: None)[0]

    first = place()
    others = [
        place("a dog"),
        place(known_as="another hash"),
        place(spoken=lambda text: f"<lora:x:1> {text}"),
        *(place(request=ImageRequest(**{"steps": 7, "width": 64, "height": 64} | one)) for one in (
            {"steps": 8}, {"width": 72}, {"cfg_scale": 3.0}, {"sampler": "Euler"}
        )),
    ]  # fmt: skip
    assert len({first, *others}) == len(others) + 1
    assert place() == first


def test_the_same_pictures_in_another_folder(tmp_path, monkeypatch):
    source = tmp_path / "a" / "1.png"
    source.parent.mkdir()
    source.write_bytes(b"one")
    (there,) = linked([source], tmp_path / "b")
    assert there.read_bytes() == b"one"
    assert there.samefile(source)
    assert linked([source], tmp_path / "b") == [there]

    def refuse(self, target):
        raise OSError("another disk")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    (copied,) = linked([source], tmp_path / "c")
    assert copied.read_bytes() == b"one"
    assert not copied.samefile(source)


def test_pictures_as_tensors(tmp_path):
    image = Image.new("RGB", (64, 32), "black")
    image.paste("white", (16, 0, 48, 32))
    image.save(tmp_path / "wide.png")
    Image.new("L", (32, 32), 128).save(tmp_path / "grey.png")
    found = pixels([tmp_path / "wide.png", tmp_path / "grey.png"], 32)
    assert found.shape == (2, 3, 32, 32)
    assert found[0].min() > 0.95, "what sticks out on both sides is cut"
    assert found[1].numpy() == pytest.approx(np.full((3, 32, 32), 128 / 127.5 - 1), abs=1e-6)
    assert pixels([], 8).shape == (0, 3, 8, 8)
