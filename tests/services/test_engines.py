"""Jobs through real engine processes: drawn, stopped, and finished in spite of engines that die."""

import os
import random
import signal
import sqlite3
import time
from contextlib import closing

import pytest
from services.small_things import eventually, gone, write_checkpoint

from modules.core.errors import EngineLost, InvalidModelFile
from modules.core.requests import ImageRequest
from modules.services import gallery, supervisor
from modules.services.supervisor import RESTART_DELAYS


def request(prompt: str = "", **values) -> ImageRequest:
    return ImageRequest(**({"prompt": prompt, "sampler": "Euler", "width": 64, "height": 64, "seed": 7} | values))


def pid_of(studio) -> int:
    """The engine's process, once it is there."""
    return eventually(lambda: studio.engines.states()[0].pid)


def test_a_job_is_drawn_saved_and_recorded(studio):
    job = studio.desk.submit(request("a red cat", batch_count=2, batch_size=2))
    done = studio.watch.wait(job.id, 30)
    pictures = studio.gallery.pictures(job=job.id)
    assert (done.state, done.attempts, done.images) == ("done", 1, 4)
    assert [(one.index, one.seed) for one in pictures] == [(0, 7), (1, 8), (2, 9), (3, 10)]
    for one in pictures:
        assert studio.gallery.path(one).read_bytes().startswith(b"\x89PNG")
    assert eventually(lambda: studio.engines.states()[0].state == "ready")


def test_what_the_engine_says_of_itself_is_passed_on(studio):
    eventually(lambda: studio.engines.states()[0].state == "ready")
    state = studio.engines.states()[0]
    assert (state.name, state.device, state.device_name) == ("cpu", "cpu", "tiny")
    assert studio.catalogue.now().samplers[0].name == "Euler"
    assert [(one.name, one.problem) for one in studio.extensions.reports()] == [("example", "does not work")]


def test_a_failed_job_has_its_sentence_and_the_next_one_runs(studio):
    failed = studio.watch.wait(studio.desk.submit(request("fail")).id, 30)
    assert (failed.state, failed.sentence, failed.detail) == ("failed", "It cannot be drawn.", "in layer 3")
    assert studio.watch.wait(studio.desk.submit(request("note")).id, 30).note == "took no time"


def test_interrupt_stops_a_running_job_and_keeps_what_was_made(studio):
    job = studio.desk.submit(request("slow", batch_count=50, steps=5))
    eventually(lambda: studio.gallery.pictures(job=job.id))
    studio.engines.interrupt(job.id)
    assert studio.watch.wait(job.id, 30).state == "interrupted"
    assert 1 <= len(studio.gallery.pictures(job=job.id)) < 50


def test_skip_leaves_one_batch_out(studio):
    job = studio.desk.submit(request("slow", batch_count=2, steps=30))
    eventually(lambda: studio.watch.live(job.id).step > 1)
    studio.engines.skip(job.id)
    assert studio.watch.wait(job.id, 30).state == "done"
    assert [one.index for one in studio.gallery.pictures(job=job.id)] == [1]


def test_cancel_storm(studio):
    """Row 20: cancel at each of 20 steps: nothing is stuck, and each ends as it was asked to."""
    for step in range(20):
        job = studio.desk.submit(request("slow", steps=25))
        eventually(lambda id=job.id, step=step: studio.watch.live(id).step >= step)
        studio.queue.cancel(job.id)
        assert studio.watch.wait(job.id, 30).state == "cancelled"
    assert studio.queue.jobs(states=("waiting", "running")) == ()


def test_killed_engine_draws_the_same_pictures_once(studio):
    """Row 1: kill -9 at random moments; the job comes to its end, each picture is there once, with the same bytes."""
    calm = studio.watch.wait(studio.desk.submit(request("slow", batch_count=3, steps=4)).id, 30)
    expected = [studio.gallery.path(one).read_bytes() for one in studio.gallery.pictures(job=calm.id)]
    dice = random.Random(1)
    for _ in range(10):
        job = studio.desk.submit(request("slow", batch_count=3, steps=4))
        eventually(lambda id=job.id: studio.watch.live(id).job.state == "running")
        time.sleep(dice.uniform(0, 0.25))
        os.kill(pid_of(studio), signal.SIGKILL)
        done = studio.watch.wait(job.id, 30)
        pictures = studio.gallery.pictures(job=job.id)
        assert (done.state, [one.index for one in pictures]) == ("done", [0, 1, 2])
        assert [studio.gallery.path(one).read_bytes() for one in pictures] == expected


def test_a_dead_engine_is_back_in_five_seconds(studio):
    eventually(lambda: studio.engines.states()[0].state == "ready")
    pid, before = pid_of(studio), time.monotonic()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: studio.engines.states()[0].state == "ready" and studio.engines.states()[0].pid != pid)
    assert time.monotonic() - before < 5


def test_a_job_that_kills_engines_fails_after_three_attempts(studio):
    """Row 8: the poison job is named, who waits behind it goes on."""
    poison = studio.desk.submit(request("crash"))
    innocent = studio.desk.submit(request("after it"))
    failed = studio.watch.wait(poison.id, 30)
    assert (failed.state, failed.attempts) == ("failed", 3)
    assert "killed by SIGSEGV" in failed.sentence
    assert "3 times" in failed.sentence
    assert studio.watch.wait(innocent.id, 30).state == "done"


def test_a_lost_attempt_is_told(studio, tmp_path):
    job = studio.desk.submit(request(f"crash-once {tmp_path / 'crashed'}"))
    notes = set()

    def over() -> bool:
        live = studio.watch.live(job.id)
        notes.add(live.job.note)
        return live.job.over

    eventually(over)
    assert studio.queue.job(job.id).attempts == 2
    assert "the engine ended (killed by SIGSEGV); trying again (attempt 2 of 3)" in notes


def test_cancelled_while_the_engine_died(studio):
    """A deaf engine is killed after the owner gave up: the job does not come back."""
    job = studio.desk.submit(request("slow deaf", steps=150))
    eventually(lambda: studio.watch.live(job.id).step > 2)
    studio.queue.cancel(job.id)
    os.kill(pid_of(studio), signal.SIGKILL)
    assert studio.watch.wait(job.id, 30).state == "cancelled"


def test_load_waits_until_the_model_is_there(studio):
    record = studio.library.find("tiny")
    studio.engines.load(record, timeout=30)
    assert studio.engines.states()[0].model == record.title


def test_load_says_what_the_engine_said(studio, places):
    write_checkpoint(places.models / "Stable-diffusion" / "odd.safetensors", side=1)
    write_checkpoint(places.models / "Stable-diffusion" / "crash.safetensors", side=200)
    studio.library.refresh()
    with pytest.raises(InvalidModelFile, match=r"odd has no U-Net\."):
        studio.engines.load(studio.library.find("odd"), timeout=30)
    with pytest.raises(EngineLost, match="killed by SIGKILL"):
        studio.engines.load(studio.library.find("crash"), timeout=30)


def test_a_model_that_is_gone_fails_its_job(open_tiny, places):
    extra = write_checkpoint(places.models / "Stable-diffusion" / "extra.safetensors", side=200)
    studio = open_tiny()
    first = studio.desk.submit(request("slow", steps=20))
    job = studio.desk.submit(request("x", model="extra"))
    extra.unlink()
    studio.library.refresh()
    studio.queue.cancel(first.id)
    failed = studio.watch.wait(job.id, 30)
    assert failed.state == "failed"
    assert "extra" in failed.sentence


def test_disk_full_fails_the_job_with_a_sentence(studio, places):
    """Row 10, by a folder that is a file: the write fails as it does on a full disk; the next job works again."""
    places.pictures.parent.mkdir(parents=True, exist_ok=True)
    places.pictures.write_text("in the way")
    failed = studio.watch.wait(studio.desk.submit(request("x", batch_count=5)).id, 30)
    places.pictures.unlink()
    assert failed.state == "failed"
    assert "could not be saved" in failed.sentence
    assert studio.gallery.pictures(job=failed.id) == ()
    assert studio.watch.wait(studio.desk.submit(request("x")).id, 30).state == "done"


def test_stop_gives_the_job_back_and_leaves_no_process(flags, places):
    """Row 7: the engine ends, its job waits for the next start, with its attempts as before."""
    from services.small_things import TINY_ENGINE, web_plugins

    from modules.services.build import open_studio

    write_checkpoint(places.models / "Stable-diffusion" / "tiny.safetensors", side=200)
    with open_studio(flags, places, web_plugins(), engine_command=TINY_ENGINE) as studio:
        job = studio.desk.submit(request("slow", batch_count=4, steps=20))
        eventually(lambda: studio.gallery.pictures(job=job.id))
        pid, before = pid_of(studio), time.monotonic()
    assert time.monotonic() - before < 5
    assert gone(pid)
    with open_studio(flags, places, web_plugins(), engine_command=TINY_ENGINE) as studio:
        done = studio.watch.wait(job.id, 30)
        assert (done.state, done.attempts) == ("done", 1)
        assert [one.index for one in studio.gallery.pictures(job=job.id)] == [0, 1, 2, 3]


def test_a_deaf_engine_is_killed_at_the_end(open_tiny):
    studio = open_tiny()
    job = studio.desk.submit(request("slow deaf", steps=150, batch_count=20))
    eventually(lambda: studio.watch.live(job.id).step > 2)
    pid, before = pid_of(studio), time.monotonic()
    studio.engines.stop(seconds=0.5)
    assert time.monotonic() - before < 5
    assert gone(pid)
    assert studio.queue.job(job.id).state == "waiting"


def test_an_engine_that_cannot_start_is_tried_more_and_more_slowly():
    assert RESTART_DELAYS[0] == 0
    assert list(RESTART_DELAYS) == sorted(RESTART_DELAYS)
    assert max(RESTART_DELAYS) <= 30


def test_a_long_log_line_is_cut(studio, caplog):
    with caplog.at_level("INFO", logger="engine.cpu"):
        studio.watch.wait(studio.desk.submit(request("chatter")).id, 30)
        eventually(lambda: any("chatter" in record.message for record in caplog.records))
    assert max(len(record.message) for record in caplog.records) <= 2000


def test_a_full_disk_makes_the_queue_wait_not_fail(studio, monkeypatch):
    """Row 10: it goes on by itself when there is room again."""
    monkeypatch.setattr(supervisor, "ROOM_SECONDS", 0.05)
    eventually(lambda: studio.engines.states()[0].state == "ready")
    with monkeypatch.context() as full:
        full.setattr(gallery, "SPARE_BYTES", 1 << 62)
        job = studio.queue.submit("image", request(model="tiny"))
        eventually(lambda: "disk is full" in studio.engines.states()[0].doing)
        assert studio.queue.job(job.id).state == "waiting"
    assert studio.watch.wait(job.id, 30).state == "done"


def test_what_the_engine_does_besides_steps_is_shown(studio):
    job = studio.desk.submit(request("slow", steps=50))
    eventually(lambda: studio.watch.live(job.id).doing)
    studio.queue.cancel(job.id)


def test_load_after_the_end_is_refused_at_once(studio):
    record = studio.library.find("tiny")
    studio.engines.stop()
    with pytest.raises(EngineLost, match="The server is stopping"):
        studio.engines.load(record, timeout=30)


def test_load_that_takes_too_long(studio):
    eventually(lambda: studio.engines.states()[0].state == "ready")
    studio.desk.submit(request("slow", steps=100))
    with pytest.raises(EngineLost, match="in time"):
        studio.engines.load(studio.library.find("tiny"), timeout=0.05)


def test_a_job_whose_row_is_gone_does_not_stop_the_engine(studio, places):
    job = studio.desk.submit(request("slow", steps=20))
    eventually(lambda: studio.watch.live(job.id).step > 1)
    with closing(sqlite3.connect(places.database)) as other, other:
        other.execute("DELETE FROM jobs WHERE id = ?", [job.id])
    assert studio.watch.wait(studio.desk.submit(request("x")).id, 30).state == "done"


def test_a_locked_database_delays_but_loses_nothing(studio, places):
    """Row 46: the end of a job is stored as soon as the database can be written again."""
    job = studio.desk.submit(request("slow", steps=20))
    eventually(lambda: studio.watch.live(job.id).step > 1)
    with closing(sqlite3.connect(places.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(1)
        other.execute("ROLLBACK")
    assert studio.watch.wait(job.id, 30).state == "done"
    assert len(studio.gallery.pictures(job=job.id)) == 1
