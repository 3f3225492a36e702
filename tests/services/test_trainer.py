"""The trainer: an engine process that comes with a training and goes with it, in turn with drawing."""

import json
import os
import signal
import time
from contextlib import ExitStack

import pytest
from services.small_things import eventually, gone, web_plugins, write_checkpoint
from services.training_things import TINY_TRAINER, picture, plan_for, trainer

from modules.core.flags import parse_flags
from modules.core.requests import ImageRequest
from modules.services.build import open_studio


@pytest.fixture
def open_training(places):
    """A function that opens a studio whose engines also train; closed at the end of the test at the latest."""
    write_checkpoint(places.models / "Stable-diffusion" / "tiny.safetensors", {"modelspec.resolution": "64x96"}, 200)
    with ExitStack() as closing:

        def opened():
            flags = parse_flags(["--data-dir", str(places.data), "--use-cpu", "all"], {})
            return closing.enter_context(open_studio(flags, places, web_plugins(), engine_command=TINY_TRAINER))

        yield opened


@pytest.fixture
def studio(open_training):
    return open_training()


def request(prompt: str = "", **values) -> ImageRequest:
    return ImageRequest(**({"prompt": prompt, "sampler": "Euler", "width": 64, "height": 64, "seed": 7} | values))


def train(studio, **fields):
    return studio.desk.submit(plan_for(studio, **fields))


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
    assert said == "waiting for the training 'Train mycat', less than a minute left"
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
    """Row 3, with the stand-in: one attempt more, every step once in the log, no more than a checkpoint's steps again."""
    job = train(studio, class_noun="crash-once cat")
    done = ended(studio, job)
    assert (done.state, done.attempts) == ("done", 2)
    folder = studio.trainings.one(job.id).folder
    steps = [json.loads(line)["step"] for line in folder.log.read_text().splitlines()]
    assert steps == [*range(1, 31)]


def test_kill_9_of_the_trainer_at_random_moments(studio):
    job = train(studio, max_train_steps=40)
    for seconds in (0.05, 0.2):
        pid = eventually(lambda: trainer(studio).pid)
        eventually(lambda: studio.queue.job(job.id).state == "running")
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: trainer(studio).pid not in (0, pid))
    assert ended(studio, job).state == "done"
    assert len(studio.trainings.one(job.id).folder.log.read_text().splitlines()) == 40


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


def test_a_stopped_server_goes_on_with_it_at_its_next_start(open_training, studio):
    job = train(studio, max_train_steps=80)
    eventually(lambda: studio.trainings.one(job.id).folder.last())
    before = time.monotonic()
    studio.engines.stop()
    assert time.monotonic() - before < 3
    waiting = studio.queue.job(job.id)
    assert (waiting.state, waiting.attempts) == ("waiting", 0), "nobody is to blame"
    pid = trainer(studio).pid
    assert pid == 0


def test_a_picture_that_is_missing(studio, places):
    with pytest.raises(Exception, match="Upload the picture again"):
        train(studio, pictures=("0" * 64,))
    kept = picture(studio, 99)
    job = train(studio, pictures=(kept,), class_noun="slow")
    assert ended(studio, job).state == "done"
