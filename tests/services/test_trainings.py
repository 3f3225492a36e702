"""Runs: what is known of them after a restart, whose pictures are kept, logs long and broken."""

import json
import os

import pytest
from services.small_things import web_plugins, write_checkpoint
from services.training_things import TINY_TRAINER, picture, plan_for

from modules.core.errors import InvalidOption, InvalidRequest, NotFound, StorageFailed
from modules.core.training import EvaluationRequest
from modules.services.build import open_studio
from modules.services.inputs import inputs_needed
from modules.services.training import log as logs
from modules.services.training.estimates import Estimate
from modules.services.training.publish import checked_name
from modules.services.training.run_folder import RunFolder, removed_runs


@pytest.fixture
def opened(flags, places):
    """A function that opens a studio anew, as a restart does; to be used as a `with` block."""
    write_checkpoint(places.models / "Stable-diffusion" / "tiny.safetensors", {"modelspec.resolution": "64x96"}, 200)
    return lambda: open_studio(flags, places, web_plugins(), engine_command=TINY_TRAINER)


def over(studio, run: str):
    studio.watch.wait(studio.trainings.one(run).job.id, 30)
    return studio.trainings.one(run)


def quick(studio, **fields):
    return over(studio, studio.trainings.begin(plan_for(studio, class_noun="quick cat", **fields)).id)


def test_history_survives_a_restart_and_a_failed_run_goes_on(opened):
    with opened() as studio:
        done = quick(studio)
        failed = over(studio, studio.trainings.begin(plan_for(studio, class_noun="fail")).id)
        assert (done.state, failed.state) == ("done", "failed")
        assert failed.job.sentence == "It cannot be trained."
        waiting = studio.trainings.begin(plan_for(studio, max_train_steps=400), owner="ann")
        studio.trainings.begin(plan_for(studio, dry=True))
    with opened() as studio:
        assert [one.id for one in studio.trainings.every()] == [waiting.id, failed.id, done.id]
        assert [one.id for one in studio.trainings.every(owner="ann")] == [waiting.id]
        assert studio.trainings.one(done.id).plan == done.plan
        again = studio.trainings.resume(failed.id)
        assert (again.id, again.job.id != failed.job.id, again.state) == (failed.id, True, "waiting")
        assert again.job.request.run == failed.id
        studio.trainings.stop(waiting.id)
        assert over(studio, failed.id).job.request.learning_rate == failed.plan.learning_rate
        assert len(studio.trainings.every()) == 3, "a job that goes on with a run is none of its own"


def test_one_goes_on_with_ones_own_only(opened):
    with opened() as studio:
        run = quick(studio, name="private").id
        with pytest.raises(InvalidRequest, match="no training"):
            studio.desk.submit(plan_for(studio, run=run), owner="bob")
        with pytest.raises(InvalidRequest, match="no training"):
            studio.desk.submit(EvaluationRequest(run="f" * 32))
        job = studio.desk.submit(EvaluationRequest(run=run))
        assert job.request.model == studio.trainings.one(run).plan.model
        with pytest.raises(InvalidRequest, match="start it again"):
            studio.trainings.resume(run)


def test_pictures_are_kept_as_long_as_the_training(opened, places):
    with opened() as studio:
        run = quick(studio)
        kept = set(run.plan.pictures)
        assert kept == inputs_needed(studio.queue)
        token = studio.trainings.remove(run.id)
        assert inputs_needed(studio.queue, removed_runs(places.training)) == set()
        studio.trainings.restore(token)
        assert kept == inputs_needed(studio.queue, removed_runs(places.training))
        os.utime(studio.inputs.path(run.plan.pictures[0]), (0, 0))
        other = picture(studio, 77)
        os.utime(studio.inputs.path(other), (0, 0))
        assert studio.inputs.sweep() == 1
        assert studio.trainings.again(run.id).plan.pictures == run.plan.pictures


def test_a_training_that_never_got_a_folder_can_be_deleted(opened):
    with opened() as studio:
        run = over(studio, studio.trainings.begin(plan_for(studio, class_noun="fail")).id)
        assert not run.folder.path.exists()
        token = studio.trainings.remove(run.id)
        with pytest.raises(NotFound):
            studio.trainings.one(run.id)
        assert studio.trainings.restore(token).state == "failed"


def test_a_full_disk_and_a_result_that_is_gone(opened, monkeypatch, places):
    with opened() as studio:
        run = quick(studio)
        assert studio.trainings.result(run.id, "mycat.safetensors").is_file()
        monkeypatch.setattr("modules.services.training.publish.SPARE_BYTES", 1 << 60)
        with pytest.raises(StorageFailed, match="too full"):
            studio.trainings.publish(run.id, 10)
        assert [one.name for one in (places.models / "Lora").iterdir()] == ["mycat.safetensors"]
        (places.models / "Lora" / "mycat.safetensors").unlink()
        status = run.folder.path / "status.json"
        for path in (places.models / "Lora" / "mycat.safetensors", places.settings, places.database):
            status.write_text(json.dumps({"state": "done", "files": [{"path": str(path)}]}))
            with pytest.raises(NotFound):
                studio.trainings.result(run.id, path.name)


# -- folders and logs ----------------------------------------------------------------------------------------------------


def lines(first: int, last: int) -> str:
    return "".join(json.dumps({"step": step, "loss": 1 / step}) + "\n" for step in range(first, last + 1))


def steps(found) -> list[int]:
    return [line["step"] for line in found]


def test_damaged_files_are_empty(tmp_path):
    folder = RunFolder(tmp_path, "0" * 32)
    assert (folder.table("status.json"), folder.pictures(), folder.previews(), folder.last()) == ({}, [], [], None)
    folder.path.mkdir()
    for content in ("", "{", "[1, 2]", "\0" * 100, "[" * 100_000, '"text"', "[{}]", '[{"file": 1}]'):
        for name in ("status.json", "pictures.json", "log.jsonl"):
            (folder.path / name).write_text(content)
        assert (folder.table("status.json"), folder.pictures(), folder.last()) == ({}, [], None), content[:10]


def test_previews_by_step_and_number(tmp_path):
    folder = RunFolder(tmp_path, "0" * 32)
    for name in ("000100/2.png", "000100/10.png", "000000/0.png", "000050/note.txt", "latest/0.png"):
        path = folder.path / "previews" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert next((one.step, one.files) for one in folder.previews()) == (0, ("previews/000000/0.png",))
    assert folder.previews()[-1].files == ("previews/000100/2.png", "previews/000100/10.png")


def test_a_log_is_thinned_and_a_torn_line_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    assert logs.numbers(path) == []
    path.write_text(lines(1, 5_000) + '{"step": 5001, "lo')
    found = steps(logs.numbers(path, most=100))
    assert (found[0], found[-1], len(found)) == (1, 5_000, 100)
    assert steps(logs.numbers(path, after=4_990)) == [*range(4_991, 5_001)]
    assert logs.last(path)["step"] == 5_000


def test_of_a_long_log_only_some_lines_are_read(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    path.write_text(lines(1, 20_000))
    monkeypatch.setattr(logs, "READ_WHOLE", 1_000)
    found = steps(logs.numbers(path, most=50))
    assert (found[0], found[-1], len(found)) == (1, 20_000, 50)
    assert found == sorted(found)


def test_following_a_log(tmp_path):
    path = tmp_path / "log.jsonl"
    follower = logs.Follower(path)
    assert follower.read() == (0, [])
    path.write_text(lines(1, 3) + '{"step": 4')
    after, found = follower.read()
    assert (after, steps(found)) == (0, [1, 2, 3])
    with path.open("a") as file:
        file.write(', "loss": 0.2}\n' + lines(5, 6))
    after, found = follower.read()
    assert (after, steps(found)) == (3, [4, 5, 6])
    assert follower.read() == (6, [])
    path.write_text(lines(1, 2))  # it went back to its checkpoint
    after, found = follower.read()
    assert (after, steps(found)) == (0, [1, 2])
    late = logs.Follower(path, after=1)
    assert steps(late.read()[1]) == [2]


@pytest.mark.parametrize("name", ["a/b", "a\\b", "..", ".x", "x.", "a:b", "a\nb", 'a"b', "x" * 241])
def test_names_that_no_file_may_have(name):
    with pytest.raises(InvalidOption):
        checked_name(name)


def test_names_that_a_file_may_have():
    assert [checked_name(one) for one in ("", " my cat ", "Мурка v1.0 (best)", "猫")] == [
        "",
        "my cat",
        "Мурка v1.0 (best)",
        "猫",
    ]


def test_a_disk_too_small_for_the_training_is_said_before(opened, monkeypatch):
    with opened() as studio:
        monkeypatch.setattr("modules.services.desk.estimate", lambda *known: Estimate(disk=1 << 60, memory=0, free=0))
        with pytest.raises(StorageFailed, match="the disk is full"):
            studio.trainings.begin(plan_for(studio))
        assert studio.queue.jobs() == ()


def test_measurements_are_forgotten_after_a_day(opened, monkeypatch):
    with opened() as studio:
        dry, kept = quick(studio, dry=True), quick(studio)
        assert dry.folder.table("measure.json")
        monkeypatch.setattr("modules.services.training.runs.DAY", -1.0)
        studio.trainings.stop(studio.trainings.begin(plan_for(studio)).id)
        assert not dry.folder.path.exists()
        assert kept.folder.path.exists()


def test_a_trained_checkpoint_does_not_become_the_model_by_its_name(opened, places):
    with opened() as studio:
        quick(studio)
        assert studio.settings.get("sd_model_checkpoint") == "", "a network cannot"
        before = studio.desk.current_model()
        quick(studio, method="dreambooth", name="aaa")
        write_checkpoint(places.models / "Stable-diffusion" / "aaa.safetensors", {}, 200)
        studio.library.refresh()
        assert studio.desk.current_model().name == before.name
