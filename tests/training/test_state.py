"""Checkpoints of a training: what they hold, how they are replaced, and what a crash or a bad disk leaves."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.core.errors import InvalidRequest, StorageFailed
from modules.core.training import TrainingPlan
from modules.training import state
from modules.training.loop import begin, train
from tests.training.one_weight import OneWeight

PlanOf = Callable[..., TrainingPlan]


def trained(plan: TrainingPlan, steps: int) -> tuple[OneWeight, Any]:
    model = OneWeight()
    position = begin(model.learner, plan, model.device)
    train(model, model.learner, plan, model, position, lambda numbers, _: numbers.step == steps)
    return model, position


def untouched(plan: TrainingPlan) -> tuple[OneWeight, Any]:
    model = OneWeight()
    return model, begin(model.learner, plan, model.device)


def test_the_last_two_are_kept_and_the_newest_is_taken(tmp_path: Path, plan_of: PlanOf) -> None:
    plan, values = plan_of(max_train_steps=9), []
    model, position = untouched(plan)

    def keep(*_: object) -> None:
        state.save(tmp_path, position, model.learner, plan)
        values.append(model.unet.weight.item())

    train(model, model.learner, plan, model, position, keep)
    assert [one.name for one in state.saved(tmp_path)] == ["000009", "000008"]
    again, place = untouched(plan)
    assert state.load(tmp_path, place, again.learner, plan)
    assert (place.step, again.unet.weight.item()) == (9, values[-1])
    assert place.seconds == position.seconds
    assert not list(tmp_path.glob(".*"))


def test_nothing_saved_is_no_error(tmp_path: Path, plan_of: PlanOf) -> None:
    model, position = untouched(plan_of())
    assert not state.load(tmp_path / "none", position, model.learner, plan_of())
    assert state.newest(tmp_path) is None
    assert position.step == 0


@pytest.mark.parametrize("harm", ["cut", "flipped", "no state", "half a state", "empty"])
def test_a_damaged_one_falls_back_to_the_one_before(
    harm: str, tmp_path: Path, plan_of: PlanOf, caplog: pytest.LogCaptureFixture
) -> None:
    plan = plan_of(use_ema=True)
    for steps in (1, 2):
        model, position = trained(plan, steps)
        state.save(tmp_path, position, model.learner, plan)
    tensors, known = tmp_path / "000002" / state.TENSORS, tmp_path / "000002" / state.STATE
    content = bytearray(tensors.read_bytes())
    if harm == "cut":
        tensors.write_bytes(content[:-3])
    elif harm == "flipped":
        content[-1] ^= 1
        tensors.write_bytes(content)
    elif harm == "no state":
        known.unlink()
    elif harm == "half a state":
        known.write_bytes(known.read_bytes()[:40])
    else:
        known.write_text("[]")
    again, place = untouched(plan)
    assert state.load(tmp_path, place, again.learner, plan)
    assert place.step == 1
    assert state.newest(tmp_path) == tmp_path / "000001"
    assert "000002" in caplog.text


def test_a_full_disk_leaves_the_one_before(tmp_path: Path, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of()
    model, position = trained(plan, 1)
    state.save(tmp_path, position, model.learner, plan)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    position.step = 2
    with pytest.raises(StorageFailed, match="No space left"):
        state.save(tmp_path, position, model.learner, plan)
    assert [one.name for one in tmp_path.iterdir()] == ["000001"]


def _save_for_ever(folder: Path, plan: TrainingPlan) -> None:
    torch.set_num_threads(1)
    model, position = untouched(plan)
    model.learner.named["weight"].data = torch.ones(200_000)
    for step in range(1, 100_000):
        position.step = step
        state.save(folder, position, model.learner, plan)


def test_kill_9_at_any_moment_leaves_a_whole_one(tmp_path: Path, plan_of: PlanOf) -> None:
    processes = multiprocessing.get_context("fork")
    for round_number in range(4):
        folder = tmp_path / str(round_number)
        child = processes.Process(target=_save_for_ever, args=(folder, plan_of()))
        child.start()
        until = time.monotonic() + 20
        while not state.saved(folder) and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(0.011 * round_number)
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        whole = state.newest(folder)
        assert whole is not None
        assert int(whole.name) >= int(state.saved(folder)[0].name) - 1
        model, position = untouched(plan_of())
        model.learner.named["weight"].data = torch.zeros(200_000)
        assert state.load(folder, position, model.learner, plan_of())
        assert position.step == int(whole.name)
        state.save(folder, position, model.learner, plan_of())  # and what the crash left is swept
        assert not list(folder.glob(".*"))


def test_other_settings_are_refused_and_what_does_not_matter_is_not(tmp_path: Path, plan_of: PlanOf) -> None:
    plan = plan_of()
    model, position = trained(plan, 1)
    state.save(tmp_path, position, model.learner, plan)
    for changes in ({"learning_rate": 1e-3}, {"seed": 6}, {"captions": ("x",)}):
        other = replace(plan, **changes)
        again, place = untouched(other)
        with pytest.raises(InvalidRequest, match="other settings"):
            state.load(tmp_path, place, again.learner, other)
        assert (place.step, again.unet.weight.item()) == (0, 0.5)
    for changes in ({"preview_every": 3}, {"run": "r"}, {"name": "x"}, {"max_train_steps": 50}):
        again, place = untouched(replace(plan, **changes))
        assert state.load(tmp_path, place, again.learner, replace(plan, **changes))


def test_with_a_curve_the_number_of_steps_matters(plan_of: PlanOf) -> None:
    curve = plan_of(lr_scheduler="cosine")
    assert state.plan_hash(curve) != state.plan_hash(replace(curve, max_train_steps=9))


def test_weights_of_another_shape_are_refused(tmp_path: Path, plan_of: PlanOf) -> None:
    model, position = trained(plan_of(), 1)
    state.save(tmp_path, position, model.learner, plan_of())
    again, place = untouched(plan_of())
    again.learner.named["weight"].data = torch.zeros(2)
    with pytest.raises(InvalidRequest):
        state.load(tmp_path, place, again.learner, plan_of())


def test_everything_but_tensors_is_readable(tmp_path: Path, plan_of: PlanOf) -> None:
    model, position = trained(plan_of(), 2)
    path = state.save(tmp_path, position, model.learner, plan_of())
    known = json.loads((path / state.STATE).read_text())
    assert known["step"] == 2
    assert {"plan", "optimizer", "scheduler", "sha256", "seconds"} <= known.keys()
