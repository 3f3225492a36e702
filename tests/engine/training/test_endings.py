"""What ends a training badly: each a sentence at the moment it matters, with the last good snapshot kept."""

import errno
import os
import shutil
from types import SimpleNamespace

import pytest
import torch

from modules.core.errors import (
    InvalidModelFile,
    InvalidRequest,
    NoModel,
    NotFinite,
    NotFound,
    NothingLearned,
    OutOfMemory,
    StorageFailed,
    UnknownName,
)
from modules.core.training import EvaluationRequest, TrainingPlan
from modules.engine.training import run, session
from modules.engine.training.endings import advice
from modules.families import random_weights
from tests.engine.engine_process import record_of


def failed(trained, error, words):
    with pytest.raises(error, match=words):
        trained.run()
    assert trained.status["state"] == "failed"
    assert not (trained.root / "Lora").exists()
    return trained.status["sentence"]


def test_numbers_that_are_none_keep_the_last_snapshot(train):
    trained = train(learning_rate=1e30, optimizer="SGD", max_grad_norm=0, save_every=1, preview_prompts=())
    sentence = failed(trained, NotFinite, "no longer a number in step 2")
    assert "Lower the learning rate" in sentence
    assert "snapshot of step 1 is kept" in sentence
    assert (trained.folder / "snapshots/000001/my-cat.safetensors").exists()


def test_nothing_learned_is_no_result(train):
    sentence = failed(train(learning_rate=1e-30, optimizer="SGD", preview_prompts=()), NothingLearned, "Nothing was")
    assert "raise the learning rate" in sentence


def test_out_of_memory_says_what_to_switch_on(train, monkeypatch):
    def none_left(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(run, "train", none_left)
    sentence = failed(train(train_batch_size=2, preview_prompts=()), OutOfMemory, "not enough memory for this training")
    assert "gradient checkpointing" in sentence
    assert "batch size to 1" in sentence


def test_a_full_disk_is_seen_before_the_first_step(train, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    trained = train(preview_prompts=())
    failed(trained, StorageFailed, "The disk has 0.0 GB free")
    assert not (trained.folder / "log.jsonl").exists()


def test_a_disk_that_fills_up_meanwhile(train, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    trained = train(preview_prompts=())
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    trained.heard.on_message = lambda message: (
        monkeypatch.setattr(session.state, "save", full) if getattr(message, "step", 0) == 4 else None
    )
    sentence = failed(trained, StorageFailed, "The disk is full")
    assert "snapshot of step 4 is kept" in sentence
    trained.heard.on_message = lambda message: None
    monkeypatch.undo()
    trained.renew()
    assert trained.run().status["state"] == "done"
    assert trained.status["sentence"] == ""


def test_what_is_no_model_for_pictures_from_text(train, tmp_path):
    path = tmp_path / "inpainting.safetensors"
    random_weights.write(path, random_weights.small("sd1-inpaint"), family="sd1-inpaint")
    trained = train(record=record_of(path), preview_prompts=())
    failed(trained, InvalidModelFile, "made for inpainting, editing or refining")


def test_a_measure_that_fails_costs_itself(train, monkeypatch):
    asked = []

    def fails(request, context):
        asked.append(request)
        raise NotFound("there is no CLIP")

    monkeypatch.setattr("modules.engine.evaluate.run", fails)
    trained = train(evaluate="quick", preview_prompts=(), max_train_steps=1).run()
    assert trained.status["state"] == "done"
    assert trained.context.notes == ["The result is saved, but was not measured: there is no CLIP"]
    assert asked == [EvaluationRequest(run="job-1", model="small.safetensors")]


def test_a_picture_that_is_gone_is_named(train):
    trained = train(pictures=("p0", "gone"), names=(), preview_prompts=())
    failed(trained, InvalidRequest, "Picture 2 is not stored here any more")


@pytest.mark.parametrize(
    ("known", "error", "words"),
    [
        ({"formats": ("pt",)}, UnknownName, "no format of LoRA"),
        ({"method": "magic"}, UnknownName, "magic"),
        ({"seed": -1}, InvalidRequest, "seed is -1"),
        ({"max_train_steps": 0}, InvalidRequest, "max_train_steps is 0"),
        ({"run": "../elsewhere"}, InvalidRequest, "is the name of no training"),
    ],
)
def test_plans_that_cannot_be(train, known, error, words):
    trained = train(**known)
    with pytest.raises(error, match=words):
        trained.run()
    assert not (trained.root / "training").exists()


def test_without_a_model(train):
    trained = train()
    object.__setattr__(trained.context.job, "models", ())
    failed(trained, NoModel, "no checkpoint to teach")


def test_advice_names_what_is_not_on_yet():
    assert advice(TrainingPlan(), whole=True).startswith("train a LoRA instead, switch on gradient checkpointing")
    assert advice(TrainingPlan(gradient_checkpointing=True), whole=False) == "lower the resolution"
