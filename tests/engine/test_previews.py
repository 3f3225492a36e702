"""Frames to JPEGs on a thread of their own."""

import io
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modules.engine.models import Loaded
from modules.engine.previews import SECONDS_BETWEEN, Previews, frame, packed
from modules.families.built import BuildOptions
from modules.families.kinds import sd15
from modules.prompts.tokens import Tokenizer
from tests.engine.engine_process import record_of


def plain(shade: int, count: int = 1, side: int = 8) -> np.ndarray:
    return np.full((count, side, side, 3), shade, np.uint8)


def test_a_frame_is_enlarged_to_the_picture_s_size() -> None:
    picture = Image.open(io.BytesIO(packed(plain(200), 8)))
    assert (picture.format, picture.size) == ("JPEG", (64, 64))
    assert abs(int(np.asarray(picture).mean()) - 200) <= 1


def test_large_pictures_and_sheets_stay_small() -> None:
    assert Image.open(io.BytesIO(packed(plain(9, side=128), 8))).size == (512, 512)
    assert Image.open(io.BytesIO(packed(plain(9, count=8, side=64), 8))).width <= 512
    wide = np.zeros((1, 8, 256, 3), np.uint8)
    assert Image.open(io.BytesIO(packed(wide, 8))).size == (512, 16)


def test_all_that_was_shown_is_sent_before_it_closes() -> None:
    sent: list[bytes] = []
    previews = Previews(sent.append)
    previews.show(plain(1), 8)
    previews.close()
    assert len(sent) <= 1  # closing at once may drop the frame, but never leaves a thread
    assert not any(thread.name == "previews" for thread in threading.enumerate())


def test_a_slow_receiver_gets_the_newest_frame_only() -> None:
    sent: list[bytes] = []
    begun, go_on = threading.Event(), threading.Event()

    def receive(jpeg: bytes) -> None:
        begun.set()
        assert go_on.wait(60)
        sent.append(jpeg)

    previews = Previews(receive)
    previews.show(plain(0), 1)
    assert begun.wait(60)
    for shade in (50, 100, 250):
        previews.show(plain(shade), 1)
    assert not previews.wanted
    go_on.set()
    while len(sent) < 2:
        threading.Event().wait(0.001)
    previews.close()
    shades = [int(np.asarray(Image.open(io.BytesIO(one))).mean()) for one in sent]
    assert shades[0] <= 2
    assert shades[-1] >= 248
    assert len(sent) == 2


def test_frames_come_not_too_often() -> None:
    now = [5.0]
    previews = Previews(lambda jpeg: None, clock=lambda: now[0])
    assert previews.wanted
    previews.show(plain(1), 1)
    assert not previews.wanted
    previews.close()
    now[0] += SECONDS_BETWEEN
    assert Previews(lambda jpeg: None, clock=lambda: now[0]).wanted


@pytest.mark.parametrize(("way", "side", "times"), [("Approx cheap", 8, 8), ("Approx NN", 32, 2), ("Full", 64, 1)])
def test_ways_to_look_at_latents(small_file: Path, way: str, side: int, times: int) -> None:
    built = sd15.build(small_file, BuildOptions(half=False))
    loaded = Loaded(record=record_of(small_file), built=built, tokenizer=Tokenizer(built.tokenizer_folder))
    coarse = torch.randn(2, 4, 2, 2, generator=torch.Generator().manual_seed(5))
    latents = torch.nn.functional.interpolate(coarse, size=(8, 8), mode="bilinear")
    with torch.inference_mode():
        pixels, enlarged = frame(latents, loaded, way)
        full, _ = frame(latents, loaded, "Full")
    assert pixels.shape == (2, side, side, 3)
    assert enlarged == times
    assert side * times == 64
    small = full.reshape(2, 8, 8, 8, 8, 3).mean(axis=(2, 4))
    shown = pixels.reshape(2, 8, side // 8, 8, side // 8, 3).mean(axis=(2, 4))
    assert np.corrcoef(small.ravel(), shown.ravel())[0, 1] > 0.5


def test_what_cannot_be_decoded_is_shown_by_its_colours(small_file: Path) -> None:
    built = sd15.build(small_file, BuildOptions(half=False))
    loaded = Loaded(record=record_of(small_file), built=built, tokenizer=Tokenizer(built.tokenizer_folder))
    with torch.inference_mode():
        pixels, _ = frame(torch.full((1, 4, 8, 8), float("nan")), loaded, "Full")
    assert pixels.shape == (1, 8, 8, 3)
