"""The trainer: an engine process that comes with a training and goes with it, in turn with drawing."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from services.small_things import eventually, gone, web_plugins, write_checkpoint
from services.training_things import TINY_TRAINER, picture, plan_for, trainer

from modules.core.flags import ROOT
from modules.core.requests import ImageRequest
from modules.services.build import open_studio

SERVER = (sys.executable, str(Path(__file__).with_name("training_server.py")))


@pytest.fixture
def opened(flags, places):
    """A function that opens a studio whose engines also train, to be used as a `with` block."""
    write_checkpoint(places.models / "Stable-diffusion" / "tiny.safetensors", {"modelspec.resolution": "64x96"}, 200)
    return lambda: open_studio(flags, places, web_plugins(), engine_command=TINY_TRAINER)


@pytest.fixture
def studio(opened):
    with opened() as studio:
        yield studio


def request(prompt: str = "", **values) -> ImageRequest:
    return ImageRequest(**({"prompt": prompt, "sampler": "Euler", "width": 64, "height": 64, "seed": 7} | values))


def train(studio, **fields):
    return studio.desk.submit(plan_for(studio, **fields))


def steps_of(studio, job) -> list[int]:
    """The steps in the run's log."""
    lines = studio.trainings.one(job.id).folder.log.read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def ended(studio, job, seconds: float = 30):
    return studio.watch.wait(job.id, seconds)


def test_the_process_comes_with_a_training_and_goes_with_it(studio):
    assert (trainer(studio).state, trainer(studio).role, trainer(studio).pid) == ("off", "training", 0)
    job = train(studio)
    pid = eventually(lambda: trainer(studio).pid)
    eventually(lambda: trainer(studio).state == "busy")
    assert pid != studio.engines.states()[0].pid
    done = ended(studio, job)
    assert (done.state, done.result, done.attempts) == ("done", "mycat.safetensors", 1)
    eventually(lambda: gone(pid))
    eventually(lambda: trainer(studio).state == "off")
    assert trainer(studio).pid == 0


def test_nothing_piles_up_while_there_is_nobody_to_hear_it(studio):
    for _ in range(5):
        ended(studio, studio.desk.submit(request("quick")))
    assert studio.engines._supervisors[-1]._inbox.qsize() == 0


def test_a_new_network_and_its_words_appear_by_themselves(studio):
    ended(studio, train(studio, class_noun="quick cat"))
    assert studio.shelf.find("lora", "mycat").words == ("sks cat",)


def test_pictures_wait_for_a_training_and_are_told_why(studio):
    slow = studio.desk.submit(request("slow", steps=40))
    eventually(lambda: studio.queue.job(slow.id).state == "running")
    training = train(studio, max_train_steps=60)
    after = studio.desk.submit(request("after"))
    assert trainer(studio).pid == 0, "nobody trains while a picture is drawn"
    eventually(lambda: studio.queue.job(training.id).state == "running")
    assert studio.queue.job(slow.id).state == "done"
    said = eventually(lambda: "left" in (doing := studio.watch.live(after.id).doing) and doing)
    assert said == "waiting for the training 'mycat', less than a minute left"
    assert studio.engines.states()[0].doing == "waiting for a training"
    assert ended(studio, training).state == "done"
    assert ended(studio, after).state == "done"


def test_somebody_elses_training_has_no_name(studio):
    training = train(studio)
    other = studio.desk.submit(request("mine"), owner="bob")
    eventually(lambda: studio.queue.job(training.id).state == "running")
    assert studio.watch.live(other.id).doing.startswith("waiting for a training")
    ended(studio, other)


def test_pictures_that_wait_come_before_the_next_training(studio):
    first, picture_job, second = train(studio), None, train(studio)
    eventually(lambda: studio.queue.job(first.id).state == "running")
    picture_job = studio.desk.submit(request("patient"))
    assert ended(studio, second).state == "done"
    ends = [studio.queue.job(one.id).ended for one in (first, picture_job, second)]
    assert ends == sorted(ends)


def test_a_model_is_unloaded_before_and_not_loaded_meanwhile(studio):
    record = studio.desk.current_model()
    studio.engines.load(record)
    assert studio.engines.states()[0].model == record.title
    job = train(studio)
    eventually(lambda: studio.queue.job(job.id).state == "running")
    eventually(lambda: studio.engines.states()[0].model == "")
    studio.engines.load(record)  # at once: the next picture brings it
    assert studio.engines.states()[0].model == ""
    studio.queue.cancel(job.id)


def test_beside_each_other(studio):
    studio.settings.set({"while_training": "Draw beside it"})
    training = train(studio, max_train_steps=200)
    eventually(lambda: studio.queue.job(training.id).state == "running")
    assert ended(studio, studio.desk.submit(request("beside"))).state == "done"
    assert studio.queue.job(training.id).state == "running"
    studio.queue.cancel(training.id)
    assert ended(studio, training).state == "cancelled"


def test_letting_drawing_in_while_a_training_runs(studio, monkeypatch):
    monkeypatch.setattr("modules.services.supervisor.ROOM_SECONDS", 0.1)
    training = train(studio, max_train_steps=400)
    eventually(lambda: studio.queue.job(training.id).state == "running")
    waiting = studio.desk.submit(request("beside"))
    studio.settings.set({"while_training": "Draw beside it"})
    assert ended(studio, waiting).state == "done"
    assert studio.queue.job(training.id).state == "running"
    studio.queue.cancel(training.id)


def test_a_training_taken_out_before_its_turn_holds_nobody_up(studio):
    slow = studio.desk.submit(request("slow", steps=30))
    training, after = train(studio), studio.desk.submit(request("after"))
    studio.queue.cancel(training.id)
    assert (ended(studio, slow).state, ended(studio, after).state) == ("done", "done")
    assert trainer(studio).state == "off"


def test_a_dead_trainer_goes_on_from_its_checkpoint(studio, places):
    """Row 3, with the stand-in: every step once in the log, no more than a checkpoint's steps again."""
    job = train(studio, class_noun="crash-once cat")
    done = ended(studio, job)
    assert (done.state, done.attempts) == ("done", 1), "it got somewhere, so it is not to blame"
    assert steps_of(studio, job) == [*range(1, 31)]


def test_kill_9_of_the_trainer_at_random_moments(studio):
    job = train(studio, max_train_steps=40)
    for seconds in (0.05, 0.2):
        pid = eventually(lambda: trainer(studio).pid)
        eventually(lambda: studio.queue.job(job.id).state == "running")
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: trainer(studio).pid not in (0, pid))
    assert ended(studio, job).state == "done"
    assert steps_of(studio, job) == [*range(1, 41)]


def test_a_training_that_kills_its_process_fails_and_the_pictures_behind_are_drawn(studio):
    poison, behind = train(studio, class_noun="crash"), studio.desk.submit(request("behind"))
    assert (ended(studio, poison).state, studio.queue.job(poison.id).attempts) == ("failed", 3)
    assert ended(studio, behind).state == "done"


def test_a_trainer_that_cannot_start(studio, monkeypatch):
    eventually(lambda: studio.engines.states()[0].state == "ready")
    monkeypatch.setattr("modules.services.trainer.FAILED_AFTER", 1)
    needs = studio.engines._supervisors[-1]._needs
    object.__setattr__(needs, "command", ("/nowhere/python",))
    failed = ended(studio, train(studio))
    assert failed.state == "failed"
    assert "could not be started" in failed.sentence
    assert ended(studio, studio.desk.submit(request("behind"))).state == "done"


def test_a_stopped_server_goes_on_with_it_at_its_next_start(opened):
    with opened() as studio:
        job = train(studio, max_train_steps=80)
        eventually(lambda: studio.trainings.one(job.id).folder.last())
        before = time.monotonic()
        studio.engines.stop()
        assert time.monotonic() - before < 3
        waiting = studio.queue.job(job.id)
        assert (waiting.state, waiting.attempts, trainer(studio).pid) == ("waiting", 0, 0), "nobody is to blame"
        reached = studio.trainings.one(job.id).folder.last()["step"]
    with opened() as studio:
        done = ended(studio, job)
        assert (done.state, done.attempts) == ("done", 1)
        assert steps_of(studio, job) == [*range(1, 81)]
        assert reached < 80


def test_kill_9_of_the_server_while_it_trains(opened, places):
    """Rows 2 and 3, with the stand-in: no orphan, nothing lost but what came after the last checkpoint."""
    dice = random.Random(3)
    for _ in range(2):
        id, pid = run_and_kill(places.data, dice.uniform(0, 0.3))
        eventually(lambda pid=pid: gone(pid), seconds=20)
    with opened() as studio:
        (run,) = studio.trainings.every()
        assert run.id == id
        done = ended(studio, run.job)
        assert (done.state, done.attempts) == ("done", 1)
        assert steps_of(studio, run.job) == [*range(1, 61)]
        assert studio.shelf.find("lora", "mycat").size


def run_and_kill(data: Path, after: float) -> tuple[str, int]:
    """Let a server train for some seconds; answers the job's id and the trainer's pid."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    process = subprocess.Popen([*SERVER, str(data)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    words = [process.stdout.readline().split(), process.stdout.readline().split()]
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return words[0][1], int(words[1][1])


def test_a_picture_that_is_missing(studio, places):
    with pytest.raises(Exception, match="Upload the picture again"):
        train(studio, pictures=("0" * 64,))
    kept = picture(studio, 99)
    job = train(studio, pictures=(kept,), class_noun="slow")
    assert ended(studio, job).state == "done"
