"""Looking on: live states, waiting for the end, news for many slow readers."""

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest
from services.small_things import drawn, eventually

from modules.core.errors import NotFound
from modules.core.events import Progress
from modules.core.requests import ImageRequest
from modules.services.watch import Watch


@pytest.fixture
def watch(queue, gallery) -> Watch:
    return Watch(queue, gallery)


@pytest.fixture
def job(queue, watch):
    return queue.submit("image", ImageRequest(), owner="ann")


def progress(job, step: int, preview: bytes | None = None) -> Progress:
    return Progress(job=job.id, step=step, steps=20, batch=1, batches=2, eta=3.0, doing="sampling", preview=preview)


def test_a_waiting_job(watch, queue, job):
    second = queue.submit("image", ImageRequest(), owner="ann")
    live = watch.live(second.id)
    assert (live.job, live.ahead, live.fraction, live.pictures) == (second, 1, 0.0, ())


def test_a_running_job(watch, queue, gallery, job):
    running = queue.claim("e")
    watch.progressed(progress(job, 9, b"one"))
    watch.progressed(progress(job, 10))
    picture = gallery.keep(drawn(job.id), running)
    live = watch.live(job.id)
    assert (live.step, live.steps, live.fraction, live.eta, live.doing) == (10, 20, 0.75, 3.0, "sampling")
    assert (live.preview, live.preview_number) == (b"one", 1)
    assert live.pictures == (picture,)
    assert watch.running() == (live,)


def test_an_ended_job_keeps_no_preview(watch, queue, job):
    queue.claim("e")
    watch.progressed(progress(job, 10, b"one"))
    queue.finish(job.id)
    live = watch.live(job.id)
    assert (live.job.state, live.fraction, live.preview, live.step) == ("done", 1.0, None, 0)
    assert watch.running() == ()


def test_a_lost_attempt_starts_from_zero(watch, queue, job):
    queue.claim("e")
    watch.progressed(progress(job, 10, b"one"))
    queue.give_back(job.id, "the engine ended")
    assert "trying again" in watch.live(job.id).doing
    queue.claim("e")
    assert (watch.live(job.id).fraction, watch.live(job.id).preview) == (0.0, None)


def test_wait_until_the_end(watch, queue, job):
    queue.claim("e")
    threading.Timer(0.05, queue.finish, [job.id]).start()
    assert watch.wait(job.id, timeout=10).state == "done"
    assert watch.wait(job.id).state == "done"


def test_wait_only_so_long(watch, job):
    before = time.monotonic()
    assert watch.wait(job.id, timeout=0.05).state == "waiting"
    assert time.monotonic() - before < 5


def test_unknown_and_other_peoples_jobs(watch, job):
    for look in (watch.live, watch.wait):
        with pytest.raises(NotFound):
            look("nothing")
    with pytest.raises(NotFound):
        watch.live(job.id, "bob")

    async def read() -> None:
        async for _ in watch.changes(job.id, "bob"):
            pass

    with pytest.raises(NotFound):
        asyncio.run(read())
    assert watch._readers == {}


def test_changes_tell_every_state_to_the_end(watch, queue, job):
    states = []

    async def read() -> None:
        async for live in watch.changes(job.id):
            states.append(live.job.state)
            step = {"waiting": lambda: queue.claim("e"), "running": lambda: queue.finish(job.id)}
            await asyncio.to_thread(step.get(live.job.state, list))

    asyncio.run(asyncio.wait_for(read(), 20))
    assert states == ["waiting", "running", "done"]
    assert watch._readers == {}


def test_a_slow_reader_gets_the_last_state_not_all(watch, queue, job):
    """Rows 18 and 20: however many steps there are, one state waits for a reader, and the end is never missed."""
    queue.claim("e")
    seen = []

    async def read() -> None:
        async for live in watch.changes(job.id):
            seen.append(live)
            if len(seen) == 1:
                for step in range(500):
                    watch.progressed(progress(job, step % 20, b"x" * 1000))
                queue.finish(job.id)
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(read(), 20))
    assert len(seen) <= 3
    assert seen[-1].job.state == "done"


def test_who_waits_hears_that_others_went_on(watch, queue, job):
    second = queue.submit("image", ImageRequest(), owner="ann")
    ahead = []

    async def read() -> None:
        async for live in watch.changes(second.id):
            ahead.append(live.ahead)
            if live.ahead == 0:
                return
            await asyncio.to_thread(queue.claim, "e")

    asyncio.run(asyncio.wait_for(read(), 20))
    assert ahead == [1, 0]


def test_silence_repeats_the_state(watch, job):
    async def read() -> int:
        count = 0
        async for _ in watch.changes(job.id, heartbeat=0.01):
            count += 1
            if count == 3:
                break
        return count

    assert asyncio.run(asyncio.wait_for(read(), 20)) == 3


def test_a_reader_whose_loop_is_gone_harms_nobody(watch, queue, job):
    loop = asyncio.new_event_loop()
    states = watch.changes(job.id)
    loop.run_until_complete(anext(states))
    loop.close()
    queue.claim("e")
    watch.progressed(progress(job, 1))
    queue.finish(job.id)
    assert watch.live(job.id).job.state == "done"


def test_many_readers_in_many_loops(watch, queue, job):
    queue.claim("e")
    ends = []

    async def read() -> None:
        async for live in watch.changes(job.id):
            last = live
        ends.append(last.job.state)

    async def read_ten() -> None:
        await asyncio.gather(*(read() for _ in range(10)))

    threads = [threading.Thread(target=asyncio.run, args=[read_ten()]) for _ in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(watch._readers) == 30)
    for step in range(20):
        watch.progressed(progress(job, step))
    queue.finish(job.id)
    for thread in threads:
        thread.join(20)
    assert ends == ["done"] * 30


def test_what_the_engine_does_before_the_first_step(watch, queue, job):
    queue.claim("e")
    watch.engine_does(job.id, "Loading tiny")
    assert (watch.live(job.id).doing, watch.live(job.id).fraction) == ("Loading tiny", 0.0)
    watch.progressed(progress(job, 1))
    assert watch.live(job.id).doing == "sampling"
    queue.finish(job.id)
    assert watch.live(job.id).doing == ""


def test_a_job_that_ends_while_it_is_looked_at_does_not_fall_back():
    """Its row was read before its end, what was seen of it would be gone after."""
    job = SimpleNamespace(id="j", state="running", over=False, note="")

    class Ending:
        def subscribe(self, listener):
            self.listener = listener

        def job(self, id, owner=None):
            self.listener(SimpleNamespace(id=id, state="done"))  # it ends right after its row was read
            return job

    watch = Watch(Ending(), SimpleNamespace(pictures=lambda job: ()))
    watch.progressed(Progress(job="j", step=29, steps=30))
    assert watch.live("j").fraction == pytest.approx(29 / 30)
