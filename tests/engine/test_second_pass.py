"""Hires fix: a second pass at a larger size, in a real engine process."""

import importlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.core import events
from modules.core.flags import ROOT
from modules.core.requests import ImageRequest, ModelRecord
from modules.diffusion.denoiser import sigma_table, timestep_at
from modules.engine.courses import steps_before
from modules.engine.enlarging import LATENT, Target, latents_enlarged, target_of
from modules.prompts.infotext import parse_infotext
from tests.engine.engine_process import Engine, pictures, record_of

Make = Callable[..., ImageRequest]
HIRES: dict[str, Any] = {"enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.6, "hr_upscaler": "Latent"}


def pixels(picture: events.ImageReady) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)


def only(heard: list[Any]) -> events.ImageReady:
    assert isinstance(heard[-1], events.Finished), heard[-1]
    (picture,) = pictures(heard)
    return picture


def likeness(one: events.ImageReady, other: events.ImageReady) -> float:
    """Correlation of two pictures shrunk to 8x8."""
    small = [
        np.asarray(Image.open(io.BytesIO(each.png)).convert("RGB").resize((8, 8), Image.Resampling.BOX)).astype(float)
        for each in (one, other)
    ]
    return float(np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1])


@pytest.mark.parametrize("upscaler", LATENT)
def test_it_is_as_large_as_asked_and_follows_the_first_pass(
    engine: Engine, record: ModelRecord, request_of: Make, upscaler: str
) -> None:
    small = only(engine.draw(request_of(), record))
    large = only(engine.draw(request_of(**HIRES | {"hr_upscaler": upscaler, "denoising_strength": 0.0}), record))
    assert (large.width, large.height) == (96, 96)
    assert likeness(small, large) > 0.5, "without strength it is the first picture, enlarged"


@pytest.mark.parametrize("upscaler", ["Lanczos", "Nearest"])
def test_pictures_are_enlarged_too(engine: Engine, request_of: Make, upscaler: str) -> None:
    """With the starter: an autoencoder of random weights gives nothing back of what it is shown."""
    starter = record_of(ROOT / "models" / "Stable-diffusion" / "starter.safetensors")
    known: dict[str, Any] = {"prompt": "a red cat in the snow", "width": 128, "height": 128, "steps": 8}
    small = only(engine.draw(request_of(**known), starter))
    hires = HIRES | {"hr_upscaler": upscaler, "denoising_strength": 0.3, "hr_steps": 4}
    large = only(engine.draw(request_of(**known, **hires), starter))
    assert (large.width, large.height) == (192, 192)
    assert likeness(small, large) > 0.9
    assert parse_infotext(large.infotext)["Hires upscaler"] == upscaler


def test_the_second_pass_has_texts_steps_and_sampler_of_its_own(
    engine: Engine, record: ModelRecord, request_of: Make
) -> None:
    request = request_of(
        **HIRES,
        hr_prompt="a dog, big",
        hr_negative_prompt="sad",
        hr_steps=2,
        hr_sampler="Euler a",
        hr_schedule="Karras",
    )
    heard = engine.draw(request, record)
    text = parse_infotext(only(heard).infotext)
    expected = {
        "Denoising strength": "0.6",
        "Hires upscale": "1.5",
        "Hires upscaler": "Latent",
        "Hires steps": "2",
        "Hires sampler": "Euler a",
        "Hires prompt": "a dog, big",
        "Hires negative prompt": "sad",
        "Size-1": "64",
        "Prompt": "a (red:1.2) cat",
    }
    assert {key: text[key] for key in expected} == expected
    plain = only(engine.draw(request_of(**HIRES), record))
    assert (pixels(plain) != pixels(only(heard))).any()
    assert "Hires prompt" not in plain.infotext
    progress = [one for one in heard if isinstance(one, events.Progress)]
    assert max(one.steps for one in progress) == 5, "three steps, then two"
    assert "Drawing the details" in {one.doing for one in progress}


def test_another_model_draws_the_details(
    new_engine: Callable[..., Engine], small_file: Path, request_of: Make, tmp_path: Path
) -> None:
    engine = new_engine(events.EngineOptions(device="cpu", name="cpu", threads=1, cached_models=2))
    first, second = record_of(small_file), record_of(Path(shutil.copyfile(small_file, tmp_path / "second.safetensors")))
    request = request_of(**HIRES, model=first.title, hr_model=second.title)
    heard = engine.draw(request, first, models=(first, second))
    assert parse_infotext(only(heard).infotext)["Hires checkpoint"] == "second"
    assert [one.record.title for one in heard if isinstance(one, events.ModelLoaded)] == [first.title, second.title]
    again = engine.draw(request, first, models=(first, second))
    assert not [one for one in again if isinstance(one, events.ModelLoaded)], "both stayed in memory"
    assert (pixels(only(again)) == pixels(only(heard))).all()


@pytest.mark.parametrize(("switch", "same"), [(0.01, False), (0.5, False), (1.0, True)])
def test_a_refiner_takes_over(
    engine: Engine, record: ModelRecord, request_of: Make, tmp_path: Path, switch: float, same: bool
) -> None:
    from modules.families import random_weights

    other = tmp_path / "other.safetensors"
    random_weights.write(other, random_weights.small(), seed=99)
    refiner = record_of(other)
    plain = only(engine.draw(request_of(model=record.title), record))
    request = request_of(model=record.title, refiner_model=refiner.title, refiner_switch_at=switch)
    refined = only(engine.draw(request, record, models=(record, refiner)))
    assert (pixels(refined) == pixels(plain)).all() == same
    assert parse_infotext(refined.infotext)["Refiner"] == "other"


@pytest.mark.parametrize(
    ("sigmas", "switch", "by_steps", "steps"),
    [
        ("Uniform", 0.8, False, 8),
        ("Uniform", 0.5, False, 5),
        ("Karras", 0.8, False, 8),
        ("Exponential", 0.2, False, 2),
        ("Uniform", 0.8, True, 8),
        ("Karras", 0.25, True, 3),
        ("Uniform", 1.0, False, 10),
    ],
)
def test_when_the_refiner_begins(sigmas: str, switch: float, by_steps: bool, steps: int) -> None:
    """Among 10 steps: with even timesteps both rules agree; others linger where there is little noise."""
    schedule = importlib.import_module(f"modules.diffusion.schedules.{sigmas.lower()}").register_schedules()[0]
    table = sigma_table()
    course = SimpleNamespace(sigmas=schedule.sigmas(10, table), table=table, steps=10)
    request = ImageRequest(refiner_switch_at=switch, refiner_by_steps=by_steps)
    expected = steps
    if not by_steps and sigmas != "Uniform":
        left = [timestep_at(sigma, table) for sigma in course.sigmas[:-1]]
        expected = len([one for one in left if one >= (1 - switch) * 999])
        assert expected < len(left)
    assert steps_before(course, request) == expected


def test_pictures_of_a_batch_do_not_touch_each_other(engine: Engine, record: ModelRecord, request_of: Make) -> None:
    both = pictures(engine.draw(request_of(**HIRES, batch_size=2), record))
    alone = only(engine.draw(request_of(**HIRES, seed=8), record))
    assert abs(pixels(both[1]) - pixels(alone)).max() <= 2


@pytest.mark.parametrize(
    ("size", "hires", "target"),
    [
        ((512, 512), {"hr_scale": 2.0}, (128, 128, 128, 128)),
        ((512, 768), {"hr_scale": 1.3}, (83, 124, 83, 124)),
        ((512, 512), {"hr_resize_x": 1024}, (128, 128, 128, 128)),
        ((512, 768), {"hr_resize_x": 1024, "hr_resize_y": 1024}, (128, 192, 128, 128)),
        ((768, 512), {"hr_resize_x": 1024, "hr_resize_y": 1024}, (192, 128, 128, 128)),
        ((512, 512), {"hr_resize_x": 1024, "hr_resize_y": 512}, (128, 128, 128, 64)),
    ],
)
def test_what_is_enlarged_covers_the_target(
    size: tuple[int, int], hires: dict[str, Any], target: tuple[int, int, int, int]
) -> None:
    found = target_of(ImageRequest(width=size[0], height=size[1], enable_hr=True, **hires), 8)
    assert (found.width, found.height, found.kept_width, found.kept_height) == target


def test_the_middle_is_kept() -> None:
    latents = torch.arange(8.0).reshape(1, 1, 1, 8).expand(1, 4, 4, 8)
    kept = latents_enlarged(latents, "Latent (nearest)", Target(width=8, height=4, kept_width=4, kept_height=4))
    assert kept[0, 0, 0].tolist() == [2, 3, 4, 5]
