"""The dry step: what a training needs, measured and told, and nothing left behind."""

import shutil
from types import SimpleNamespace

import pytest
import torch

from modules.engine.training import measure


def test_a_few_steps_tell_what_all_will_take(train):
    trained = train(dry=True, max_train_steps=1000, train_batch_size=2, with_prior_preservation=True).run()
    found = trained.json("measure.json")
    assert found["fits"] is True
    assert found["advice"] == ""
    assert found["steps"] == 1000
    assert found["pictures_seen"] == 2000
    assert found["epochs"] == pytest.approx(2000 / 3, rel=0.01)
    assert found["class_pictures_missing"] == 100
    assert 0 < found["seconds_per_step"] < 5
    assert found["seconds_total"] > 1000 * found["seconds_per_step"] * 0.99
    assert found["class_seconds"] > 0
    assert 0 < found["memory_peak"] < found["memory_available"]
    assert 0 < found["disk_needed"] < found["disk_free"]
    assert found["device"] == "cpu"


def test_it_leaves_nothing_but_the_numbers(train):
    trained = train(dry=True, preview_prompts=()).run()
    assert sorted(one.name for one in trained.folder.iterdir()) == ["measure.json", "plan.json", "status.json"]
    assert [one.name for one in trained.root.iterdir()] == ["training"]
    assert trained.status["state"] == "done"
    assert trained.context.result == []


def test_measuring_a_run_again_leaves_that_run_alone(train):
    first = train(preview_prompts=(), max_train_steps=1).run()
    before = {one: one.read_bytes() for one in first.folder.rglob("*") if one.is_file()}
    second = train(job="job-2", run="job-1", dry=True, preview_prompts=())
    second.run()
    assert (second.root / "training" / "job-2" / "measure.json").exists()
    assert {one: one.read_bytes() for one in first.folder.rglob("*") if one.is_file()} == before


def test_too_little_memory_is_an_answer_not_a_failure(train, monkeypatch):
    monkeypatch.setattr(measure, "_available", lambda device: 100 << 20)
    found = train(dry=True, preview_prompts=()).run().json("measure.json")
    assert found["fits"] is False
    assert found["advice"].startswith("This computer has 0.1 GB free, this needs about")
    assert "gradient checkpointing" in found["advice"]


def test_memory_that_runs_out_is_an_answer_too(train, monkeypatch):
    def none_left(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(measure, "train", none_left)
    found = train(dry=True, preview_prompts=()).run().json("measure.json")
    assert found["fits"] is False
    assert "this needs more" in found["advice"]


def test_too_little_room_on_the_disk(train, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    found = train(dry=True, preview_prompts=()).run().json("measure.json")
    assert found["fits"] is False
    assert found["advice"].startswith("The disk has 0.0 GB free and this training needs about")
