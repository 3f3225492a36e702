"""Class pictures: made once by the untouched model, kept by what decides about them, only what is missing is made."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from modules.core import events
from modules.engine.models import Models
from modules.engine.training.classes import ClassPictures, cfg_scale, hash_of
from modules.engine.training.previews import difference
from modules.families.built import BuildOptions
from modules.imaging.metadata import read_text
from tests.engine.in_this_process import context_of


@pytest.fixture(scope="module")
def loaded(record):
    context, _ = context_of(events.RunJob(job="c", kind="train", request=None, models=(record,)))
    return Models(context.plugins.collect("register_families"), BuildOptions(half=False)).get(record)


def drawn(pictures, loaded):
    """What on_progress was told while they were drawn."""
    told = []
    context, _ = context_of(events.RunJob(job="c", kind="train", request=None, models=(loaded.record,)))
    pictures.draw(context, loaded, lambda there, wanted: told.append((there, wanted)))
    return told


@pytest.fixture
def plan(plan_of):
    return plan_of(with_prior_preservation=True, num_class_images=5, class_seed=10, class_steps=1)


def test_only_what_is_missing_is_drawn(tmp_path, plan, record, loaded):
    pictures = ClassPictures(plan, tmp_path, record)
    assert pictures.missing == [10, 11, 12, 13, 14]
    assert drawn(pictures, loaded) == [(0, 5), (4, 5), (5, 5)]
    before = {one.name: one.read_bytes() for one in pictures.folder.glob("*.png")}
    assert sorted(before) == ["10.png", "11.png", "12.png", "13.png", "14.png"]
    assert [hashlib.sha256(one).hexdigest() for one in pictures.contents()] == [
        hashlib.sha256(before[name]).hexdigest() for name in sorted(before)
    ]
    (pictures.folder / "12.png").unlink()
    assert drawn(pictures, loaded) == [(4, 5), (5, 5)]
    assert difference((pictures.folder / "12.png").read_bytes(), before["12.png"]) < 0.2  # rounded in another batch
    assert drawn(pictures, loaded) == [(5, 5)]


def test_a_picture_that_was_thrown_out_does_not_come_back(tmp_path, plan, record, loaded):
    pictures = ClassPictures(replace(plan, num_class_images=2), tmp_path, record)
    drawn(pictures, loaded)
    (pictures.folder / "10.png").unlink()
    (pictures.folder / "10.unwanted").touch()
    assert pictures.seeds == [11, 12]
    assert pictures.missing == [12]
    drawn(pictures, loaded)
    assert sorted(one.name for one in pictures.folder.glob("*.png")) == ["11.png", "12.png"]


def test_they_are_kept_by_all_that_decides_about_them(tmp_path, plan, record):
    usual = ClassPictures(plan, tmp_path, record).folder
    same = [{"num_class_images": 7}, {"class_seed": 3}, {"learning_rate": 1.0}, {"name": "another"}]
    other = [{"class_prompt": "a dog"}, {"class_steps": 2}, {"class_sampler": "Euler"}, {"resolution": 128}]
    other += [{"class_cfg_scale": 3.0}]
    assert all(ClassPictures(replace(plan, **changes), tmp_path, record).folder == usual for changes in same)
    assert all(ClassPictures(replace(plan, **changes), tmp_path, record).folder != usual for changes in other)
    assert ClassPictures(plan, tmp_path, replace(record, sha256="0" * 64)).folder != usual


def test_the_ancestral_sampler_and_what_the_folder_says(tmp_path, plan, record, loaded):
    pictures = ClassPictures(replace(plan, num_class_images=1), tmp_path, record)
    drawn(pictures, loaded)
    text = read_text((pictures.folder / "10.png").read_bytes()).infotext
    assert text.startswith("a photo of a cat\nSteps: 1, Sampler: Euler a")
    assert "Seed: 10" in text
    about = json.loads((pictures.folder / "about.json").read_text())
    assert about["model"] == "small.safetensors"
    assert about["sha256"] == hash_of(record) == hashlib.sha256(Path(record.path).read_bytes()).hexdigest()
    assert about["cfg_scale"] == cfg_scale(0.0) == 7.0


def test_the_hash_of_a_folder_is_that_of_all_its_files(tmp_path, record):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "b").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"one")
    assert hash_of(replace(record, path=str(tmp_path))) == hashlib.sha256(b"onetwo").hexdigest()
    assert hash_of(replace(record, sha256="known")) == "known"


def test_a_training_uses_them_and_the_next_one_too(train):
    known = {"with_prior_preservation": True, "num_class_images": 3, "preview_prompts": (), "max_train_steps": 1}
    first = train(**known).run()
    assert first.log[0]["loss"] == pytest.approx(first.log[0]["instance_loss"] + first.log[0]["prior_loss"])
    (folder,) = (first.root / "training" / "class-pictures").iterdir()
    times = {one.name: one.stat().st_mtime_ns for one in folder.iterdir()}
    assert len(times) == 4
    second = train(job="job-2", **known).run()
    assert {one.name: one.stat().st_mtime_ns for one in folder.iterdir()} == times
    assert second.losses() == first.losses()
    assert not any("class pictures, 0 of" in getattr(one, "doing", "") for one in second.heard.heard())


def test_own_ones(train):
    known = {"with_prior_preservation": True, "class_source": "own", "class_pictures": ("p1", "p2")}
    trained = train(**known, preview_prompts=(), max_train_steps=1).run()
    assert trained.log[0]["prior_loss"] > 0
    assert not (trained.root / "training" / "class-pictures").exists()
