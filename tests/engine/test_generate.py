"""Requests to pictures, in a real engine process with a real small model."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.core import events
from modules.core.requests import ImageRequest, ModelRecord
from modules.imaging.metadata import read_text
from modules.prompts.infotext import parse_infotext
from tests.engine.engine_process import Engine, pictures, record_of

Make = Callable[..., ImageRequest]


def pixels(picture: events.ImageReady) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)


def test_a_picture_with_its_text(engine: Engine, record: ModelRecord, request_of: Make) -> None:
    heard = engine.draw(request_of(sampler="Euler a", cfg_scale=7.5), record)
    (picture,) = pictures(heard)
    assert (picture.index, picture.seed, picture.width, picture.height) == (0, 7, 64, 64)
    assert pixels(picture).shape == (64, 64, 3)
    assert pixels(picture).std() > 1
    assert read_text(picture.png).infotext == picture.infotext
    assert picture.infotext == (
        "a (red:1.2) cat\nNegative prompt: blurry\nSteps: 3, Sampler: Euler a, Schedule type: Automatic, "
        "CFG scale: 7.5, Seed: 7, Size: 64x64, Model: small, RNG: CPU, Version: Atelier-0.1.0"
    )
    assert heard[-1] == events.Finished(job="job")


def test_the_text_names_what_had_an_effect(engine: Engine, record: ModelRecord, request_of: Make) -> None:
    hashed = ModelRecord(
        name="sub/small", path=record.path, title="t", size=record.size, modified=record.modified, sha256="ab" * 32
    )
    request = request_of(
        prompt="[cat]",
        negative_prompt="",
        sampler="DPM++ 2M",
        clip_skip=2,
        emphasis="No norm",
        eta=0.5,
        cfg_scale=7,
        rho=5,
    )
    text = parse_infotext(pictures(engine.draw(request, hashed))[0].infotext)
    assert text["Schedule type"] == "Karras"
    assert text["Model hash"] == "abababab" + "ab"
    assert text["Model"] == "small"
    assert (text["Clip skip"], text["Emphasis"], text["CFG scale"]) == ("2", "No norm", "7")
    assert text["Schedule rho"] == "5"
    assert "Eta" not in text, "this sampler does not listen to it"


def test_the_same_request_gives_the_same_bytes(engine: Engine, record: ModelRecord, request_of: Make) -> None:
    first, second = (pictures(engine.draw(request_of(), record))[0] for _ in range(2))
    assert first.png == second.png
    (other,) = pictures(engine.draw(request_of(seed=8), record))
    assert (pixels(other) != pixels(first)).mean() > 0.5


def test_picture_i_of_a_batch_is_the_single_picture_with_seed_plus_i(
    engine: Engine, record: ModelRecord, request_of: Make
) -> None:
    heard = pictures(engine.draw(request_of(sampler="Euler a", batch_size=3, batch_count=2, seed=100), record))
    assert [(one.index, one.seed) for one in heard] == [(i, 100 + i) for i in range(6)]
    for picture in heard:
        (single,) = pictures(engine.draw(request_of(sampler="Euler a", seed=picture.seed), record))
        assert single.infotext == picture.infotext
        # a wider batch may add up in another order: the last bit of a pixel at most
        assert np.abs(pixels(single) - pixels(picture)).max() <= 1


def test_pictures_that_are_there_already_are_not_made_again(
    engine: Engine, record: ModelRecord, request_of: Make
) -> None:
    request = request_of(batch_size=2, batch_count=3)
    whole = pictures(engine.draw(request, record))
    heard = engine.draw(request, record, have=(0, 1, 3))
    assert [one.index for one in pictures(heard)] == [2, 4, 5]
    assert all(one.png == whole[one.index].png for one in pictures(heard))
    assert {one.batch for one in heard if isinstance(one, events.Progress)} == {1, 2}
    assert engine.draw(request, record, have=tuple(range(6)))[-1] == events.Finished(job="job")


def test_all_samplers_and_schedules_draw(engine: Engine, record: ModelRecord, request_of: Make) -> None:
    drawn = set()
    for sampler in engine.ready.catalogue.samplers:
        (picture,) = pictures(engine.draw(request_of(sampler=sampler.name, steps=4), record))
        drawn.add(picture.png)
    for schedule in engine.ready.catalogue.schedules:
        assert pictures(engine.draw(request_of(sampler="Euler", schedule=schedule.key), record))
    assert len(drawn) == len(engine.ready.catalogue.samplers) >= 4


@pytest.mark.parametrize(
    "known",
    [
        {"prompt": "", "negative_prompt": ""},
        {"prompt": "cat " * 200, "negative_prompt": ""},
        {"prompt": "a BREAK b", "negative_prompt": "c, " * 100},
        {"cfg_scale": 1},
        {"cfg_scale": 0},
        {"steps": 1},
        {"width": 72, "height": 136},
        {"clip_skip": 12},
        {"emphasis": "None"},
        {"prompt": "猫 🐈 ((((", "noise_source": "CPU"},
        {"seed": 2**63 - 1},
    ],
)
def test_what_a_request_may_hold(known: dict[str, Any], engine: Engine, record: ModelRecord, request_of: Make) -> None:
    request = request_of(**known)
    (picture,) = pictures(engine.draw(request, record))  # a small text tower has fewer layers than may be skipped
    assert pixels(picture).shape == (request.height, request.width, 3)


def test_progress_counts_up_and_carries_previews(engine: Engine, record: ModelRecord, request_of: Make) -> None:
    heard = engine.draw(request_of(steps=5, batch_count=2), record)
    progress = [one for one in heard if isinstance(one, events.Progress)]
    fractions = [one.fraction for one in progress]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert {one.steps for one in progress} == {5}
    assert all(one.eta is None or one.eta >= 0 for one in progress)
    previews = [one.preview for one in progress if one.preview]
    assert previews
    preview = Image.open(io.BytesIO(previews[0]))
    assert (preview.format, preview.size) == ("JPEG", (64, 64))


def test_no_previews_when_none_are_wanted(engine: Engine, record: ModelRecord, request_of: Make) -> None:
    heard = engine.draw(request_of(), record, preview_every=0)
    assert not any(one.preview for one in heard if isinstance(one, events.Progress))


def test_a_preview_of_a_batch_shows_all_its_pictures(engine: Engine, record: ModelRecord, request_of: Make) -> None:
    heard = engine.draw(request_of(batch_size=4), record)
    preview = next(one.preview for one in heard if isinstance(one, events.Progress) and one.preview)
    assert Image.open(io.BytesIO(preview)).size == (128, 128)


def test_clip_skip_emphasis_and_prompt_change_the_picture(
    engine: Engine, record: ModelRecord, request_of: Make
) -> None:
    drawn = [
        pictures(engine.draw(request_of(**known), record))[0].png[-4000:]
        for known in ({}, {"clip_skip": 2}, {"emphasis": "Ignore"}, {"prompt": "a dog"}, {"negative_prompt": ""})
    ]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize(
    ("known", "kind", "words"),
    [
        ({"sampler": "Eulr"}, "UnknownName", "did you mean 'Euler'?"),
        ({"schedule": "Karas"}, "UnknownName", "did you mean 'Karras'?"),
        ({"seed": -1}, "InvalidRequest", "Seed is -1"),
        ({"guidance": "CGF"}, "UnknownName", "did you mean 'CFG'?"),
        ({"vae": "none.safetensors"}, "UnknownName", "no VAE is called 'none.safetensors'"),
    ],
)
def test_what_it_cannot_do_is_a_sentence(
    known: dict[str, Any], kind: str, words: str, engine: Engine, record: ModelRecord, request_of: Make
) -> None:
    failure = engine.draw(request_of(**known), record)[-1]
    assert isinstance(failure, events.Failed)
    assert failure.kind == kind
    assert words in failure.sentence
    assert "Traceback" in failure.detail
    assert pictures(engine.draw(request_of(), record))


def test_without_a_model_there_is_a_sentence(engine: Engine, request_of: Make) -> None:
    engine.send(events.RunJob(job="job", kind="image", request=request_of()))
    failure = engine.until_over()[-1]
    assert (failure.kind, "models/Stable-diffusion" in failure.sentence) == ("NoModel", True)


def test_a_model_that_is_gone_is_a_sentence(engine: Engine, tmp_path: Path, request_of: Make) -> None:
    failure = engine.draw(request_of(), record_of(tmp_path / "gone.safetensors"))[-1]
    assert (failure.kind, "gone.safetensors is not there any more" in failure.sentence) == ("InvalidModelFile", True)
