"""The run's folder: whole files, lines that can be trusted, and no way out of it."""

import json

import pytest

from modules.core.errors import InvalidRequest
from modules.core.training import TrainingNumbers, TrainingPlan
from modules.engine.training import folder as module
from modules.engine.training.folder import Folder, Log, Status


def numbers(step):
    return TrainingNumbers(
        step=step,
        steps=9,
        epoch=0.5,
        loss=0.25,
        instance_loss=0.25,
        prior_loss=None,
        learning_rate=1e-4,
        grad_norm=1.0,
        seconds=0.1,
    )


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path, "run-1")


@pytest.mark.parametrize("id", ["", "..", "a/b", "a" * 101, "ö", "a b", "."])
def test_no_way_out(tmp_path, id):
    with pytest.raises(InvalidRequest, match="is the name of no training"):
        Folder(tmp_path, id)


def test_a_plan_comes_back(folder):
    assert folder.plan() is None
    plan = TrainingPlan(pictures=("a",), crops=((0.0, 0.0, 1.0, 0.5),), name="mö")
    folder.keep_plan(plan)
    assert folder.plan() == plan


def test_steps_of_what_lies_there(folder):
    assert folder.steps_of("previews") == []
    for name in ("000010", "000000", "000200", "notes"):
        (folder.path / "previews" / name).mkdir(parents=True)
    assert folder.steps_of("previews") == [0, 10, 200]
    assert folder.previews(10).name == "000010"
    assert folder.snapshot(123456).name == "123456"


def test_a_status_is_written_at_once_or_when_a_second_has_passed(folder, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    status = Status(folder)
    status.say(state="training", step=1)
    status.note(step=2)
    assert folder.read("status.json")["step"] == 1
    assert status["step"] == 2
    clock[0] += 1.0
    status.note(step=3)
    written = folder.read("status.json")
    assert written["step"] == 3
    assert written["state"] == "training"
    assert written["updated"] >= written["started"]


def test_an_earlier_attempt_is_remembered(folder):
    Status(folder).say(name="my-cat", started=5.0)
    again = Status(folder)
    assert again["name"] == "my-cat"
    assert again["started"] == 5.0
    (folder.path / "status.json").write_text("torn")
    assert Status(folder)["name"] is None


def test_lines_are_there_at_once(folder):
    log = Log(folder, 0)
    log.add(numbers(1))
    line = json.loads((folder.path / "log.jsonl").read_text())
    assert line["step"] == 1
    assert line["prior_loss"] is None
    assert "is" not in line
    log.sync()
    log.close()


def test_lines_behind_the_checkpoint_and_torn_ones_are_cut_off(folder):
    log = Log(folder, 0)
    for step in range(1, 6):
        log.add(numbers(step))
    log.close()
    with (folder.path / "log.jsonl").open("a") as file:
        file.write('{"step": 3, "lo\n[1]\n{"loss": 1}\n{"step')
    log = Log(folder, 3)
    log.add(numbers(4))
    log.close()
    steps = [json.loads(line)["step"] for line in (folder.path / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4]
