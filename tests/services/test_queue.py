"""The queue: order, turns, attempts, cancelling, limits."""

import threading
import time

import pytest
from sqlalchemy import text

from modules.core.errors import InvalidRequest, NotFound, QueueFull
from modules.core.requests import ImageRequest
from modules.services import queue as queue_module
from modules.services.queue import Queue


def submit(queue: Queue, owner: str = "", **values):
    return queue.submit("image", ImageRequest(), owner=owner, **values)


def test_first_come_first_served(queue):
    accepted = [submit(queue).id for _ in range(5)]
    assert [queue.claim("e").id for _ in range(5)] == accepted
    assert queue.claim("e") is None


def test_order_does_not_depend_on_the_clock(store):
    """Row 9: a clock that is set back re-orders nothing and makes no negative duration."""
    times = iter([1000.0, 900.0, 100.0, 50.0, 40.0, 30.0, 20.0, 10.0, 5.0])
    queue = Queue(store, clock=lambda: next(times))
    accepted = [submit(queue).id for _ in range(3)]
    claimed = [queue.claim("e") for _ in range(3)]
    assert [job.id for job in claimed] == accepted
    for job in (queue.finish(job.id) for job in claimed):
        assert job.created <= job.started <= job.ended


def test_owners_take_turns(queue):
    """Row 17: a thousand jobs of one do not hold up the first of another."""
    for number in range(20):
        submit(queue, "ann", id=f"ann {number}")
    assert [queue.claim("e").id for _ in range(2)] == ["ann 0", "ann 1"]
    submit(queue, "bob", id="bob 0")
    submit(queue, "bob", id="bob 1")
    assert [queue.claim("e").id for _ in range(4)] == ["bob 0", "ann 2", "bob 1", "ann 3"]


def test_ahead_of_tells_the_order_of_claims(queue):
    for number in range(4):
        submit(queue, "ann", id=f"ann {number}")
    queue.claim("e")
    for number in range(2):
        submit(queue, "bob", id=f"bob {number}")
    submit(queue, "cid", id="cid 0")
    ids = [job.id for job in queue.jobs(states=("waiting",))]
    expected = sorted(ids, key=queue.ahead_of)
    assert [queue.ahead_of(id) for id in expected] == list(range(6))
    assert [queue.claim("e").id for _ in ids] == expected
    assert queue.ahead_of(ids[0]) == queue.ahead_of("nobody") == 0


def test_the_same_id_again_is_the_same_job(queue):
    first = submit(queue, "ann", id="task(1)")
    assert submit(queue, "ann", id="task(1)") == first
    with pytest.raises(InvalidRequest, match="taken"):
        submit(queue, "bob", id="task(1)")
    assert len(queue.jobs()) == 1


@pytest.mark.parametrize("id", ["x" * 201, "naïve", "new\nline", "nul\0"])
def test_odd_ids_are_refused(queue, id):
    with pytest.raises(InvalidRequest, match="job id"):
        submit(queue, id=id)


def test_ids_cannot_be_guessed(queue):
    ids = {submit(queue).id for _ in range(5)}
    assert all(len(bytes.fromhex(id)) == 16 for id in ids)
    assert len(ids) == 5


def test_full(queue, monkeypatch):
    monkeypatch.setattr(queue_module, "MOST_WAITING", 5)
    monkeypatch.setattr(queue_module, "MOST_OF_ONE", 2)
    submit(queue, "ann")
    submit(queue, "ann")
    with pytest.raises(QueueFull, match="of your jobs"):
        submit(queue, "ann")
    for _ in range(3):
        submit(queue)
    with pytest.raises(QueueFull, match="5 jobs are waiting"):
        submit(queue, "bob")
    queue.claim("e")
    submit(queue, "bob")


def test_three_attempts(queue):
    job = submit(queue)
    for attempt in (1, 2):
        queue.claim("e")
        back = queue.give_back(job.id, "the engine ended")
        assert (back.state, back.attempts) == ("waiting", attempt)
        assert f"attempt {attempt + 1} of 3" in back.note
    queue.claim("e")
    failed = queue.give_back(job.id, "the engine ended")
    assert failed.state == "failed"
    assert failed.sentence == "the engine ended while it worked on this, 3 times; it is not tried again."


def test_a_job_given_back_keeps_its_place(queue):
    first, second = submit(queue), submit(queue)
    queue.claim("e")
    queue.give_back(first.id, "the engine ended")
    assert [queue.claim("e").id, queue.claim("e").id] == [first.id, second.id]


def test_a_stopped_server_is_not_the_jobs_fault(queue, store):
    job = submit(queue)
    for _ in range(5):
        queue.claim("e")
        again = Queue(store)
        assert again.recover() == 1
        assert (again.job(job.id).state, again.job(job.id).attempts) == ("waiting", 0)


def test_cancel_waiting_running_and_ended(queue):
    waiting, running, done = submit(queue, "ann"), submit(queue, "bob"), submit(queue, "cid")
    assert queue.cancel(waiting.id).state == "cancelled"
    queue.claim("e")
    assert (queue.cancel(running.id).state, queue.job(running.id).stop) == ("running", "cancelled")
    assert queue.interrupt(running.id).state == "cancelled"
    queue.claim("e")
    queue.finish(done.id)
    assert queue.cancel(done.id).state == "done"


def test_interrupted_is_not_cancelled(queue):
    job = submit(queue)
    queue.claim("e")
    queue.ask_to_stop(job.id, "interrupted")
    assert queue.interrupt(job.id, note="after 3 steps").state == "interrupted"


def test_cancelled_while_its_engine_died(queue, store):
    job, other = submit(queue), submit(queue)
    for one in (job, other):
        queue.claim("e")
        queue.cancel(one.id)
    assert queue.give_back(job.id, "the engine ended").state == "cancelled"
    Queue(store).recover()
    assert queue.job(other.id).state == "cancelled"


def test_the_end_comes_once(queue):
    job = submit(queue)
    queue.claim("e")
    queue.finish(job.id, note="first")
    assert queue.fail(job.id, "late") == queue.job(job.id)
    assert (queue.job(job.id).state, queue.job(job.id).note) == ("done", "first")


def test_other_owners_jobs_are_not_there(queue):
    job = submit(queue, "ann")
    for look in (queue.job, queue.cancel):
        with pytest.raises(NotFound):
            look(job.id, "bob")
    assert queue.jobs(owner="bob") == ()
    assert queue.job(job.id, "ann") == queue.job(job.id) == job


def test_unknown_job(queue):
    for look in (queue.job, queue.cancel, queue.finish):
        with pytest.raises(NotFound, match="no job 'nothing'"):
            look("nothing")


def test_listeners_hear_every_change(queue):
    heard = []
    queue.subscribe(lambda job: heard.append(job.state))
    job = submit(queue)
    queue.claim("e")
    queue.give_back(job.id, "x")
    queue.claim("e")
    queue.finish(job.id)
    assert heard == ["waiting", "running", "waiting", "running", "done"]


def test_submit_and_claim_from_many_threads(queue):
    """Nothing is lost, nothing is claimed twice, numbers tell the order."""
    accepted, claimed = [], []

    def work(number: int) -> None:
        for _ in range(10):
            accepted.append(submit(queue, f"owner {number}").id)
            job = queue.claim(f"engine {number}")
            if job:
                claimed.append(job.id)

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while job := queue.claim("last"):
        claimed.append(job.id)
    assert sorted(claimed) == sorted(accepted)
    assert len(set(claimed)) == 80


def test_ten_thousand_jobs_are_still_quick(queue, store):
    """Row 17. In processor time, generously: a loaded machine must not fail it."""
    job = submit(queue)
    columns = "id, kind, request, owner, label, state, attempts, created, sentence, detail, note, images, stop, engine"
    values = columns.replace("id,", "'copy ' || value,", 1).replace("owner", "'owner ' || (value % 20)")
    many = "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 9998)"
    with store.write() as connection:
        statement = f"INSERT INTO jobs ({columns}) {many} SELECT {values} FROM n, jobs WHERE id = :id"
        connection.execute(text(statement), {"id": job.id})
    before = time.process_time()
    for _ in range(10):
        queue.claim("e")
        queue.ahead_of("copy 9998")
        submit(queue, "somebody")
    assert (time.process_time() - before) / 30 < 0.1
