"""The durable queue: what `submit` has returned is done, also after a crash. Order by number of acceptance, never by clock."""

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from modules.core.errors import InvalidRequest, NotFound, Problem, QueueFull
from modules.core.requests import Request
from modules.storage import jobs as rows
from modules.storage.records import Job, State
from modules.storage.store import Store

MOST_WAITING = 10_000
MOST_OF_ONE = 1_000  # of one owner with a name; who shares a server shares the queue
MOST_ATTEMPTS = 3
LONGEST_ID = 200

Listener = Callable[[Job], None]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which jobs somebody would begin. `kinds`: only these; `others`: all but these. `below`: accepted before that number.

    `in_turn`: only if no job of another kind has its turn before.
    """

    kinds: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    below: int | None = None
    in_turn: bool = False


class Queue:
    """Jobs from acceptance to their end. All methods block for milliseconds and are safe from any thread.

    Owners take turns: each claim goes to the owner who was served longest ago, so that a thousand jobs of one do not
    hold up the first of another. Within an owner it is first come, first served.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._listeners: list[Listener] = []
        self._turns: dict[str, int] = {}  # owner -> the turn at which they were served last
        self._turn = 0
        self._turns_lock = threading.Lock()

    def subscribe(self, listener: Listener) -> None:
        """Tell `listener` each job whose state changed, from the thread that changed it; it must return at once."""
        self._listeners.append(listener)

    # -- from the faces ----------------------------------------------------------------------------------------------

    def submit(self, kind: str, request: Request, *, owner: str = "", label: str = "", id: str = "") -> Job:
        """Accept a job. When this returns, it is on the disk.

        `id` may be chosen by the client; the same id again from the same owner answers the job that is there already,
        so that a client who missed the answer can ask again. Raises QueueFull, StorageFailed, InvalidRequest (the id).
        """
        id = _checked_id(id)
        values = {"kind": kind, "request": request, "owner": owner, "label": label, "images": request.images}
        with self._store.write() as connection:
            there = rows.find(connection, id)
            if there:
                return _accepted_before(there, owner)
            self._refuse_when_full(rows.waiting_by_owner(connection), owner)
            job = rows.add(connection, id=id, created=self._clock(), **values)
        self._tell(job)
        return job

    def cancel(self, id: str, owner: str | None = None) -> Job:
        """Take a job out: a waiting one ends now, a running one as soon as its engine has stopped. Raises NotFound."""
        return self.ask_to_stop(id, "cancelled", owner)

    def ask_to_stop(self, id: str, outcome: State, owner: str | None = None) -> Job:
        """Stop a job; `outcome` ("interrupted" or "cancelled") is the state it shall end in. An ended job stays."""
        self.job(id, owner)
        with self._store.write() as connection:
            ended = {"state": "cancelled", "ended": self._clock()}
            job = rows.change(connection, id, was=["waiting"], **ended) or rows.change(
                connection, id, was=["running"], stop=outcome
            )
        if job is None:
            return self.job(id)
        self._tell(job)
        return job

    def job(self, id: str, owner: str | None = None) -> Job:
        """The job with this id; of this owner, when one is given. Raises NotFound."""
        with self._store.read() as connection:
            job = rows.find(connection, id)
        if job is None or (owner is not None and job.owner != owner):
            raise NotFound(f"there is no job {id[:80]!r}")
        return job

    def jobs(
        self,
        states: Sequence[State] = (),
        owner: str | None = None,
        limit: int = 50,
        before: int | None = None,
        kinds: Sequence[str] = (),
    ) -> tuple[Job, ...]:
        """Jobs from the newest to the oldest; `before`: the number at which the last page ended; `kinds`: only these."""
        with self._store.read() as connection:
            return rows.listed(connection, states=states, owner=owner, limit=limit, before=before, kinds=kinds)

    def waiting(self) -> int:
        """How many jobs wait."""
        with self._store.read() as connection:
            return sum(count for count, _ in rows.waiting_by_owner(connection).values())

    def ahead_of(self, id: str) -> int:
        """How many waiting jobs are begun before this one, by owners' turns; 0 for one that does not wait."""
        with self._store.read() as connection:
            job = rows.find(connection, id)
            if job is None or job.state != "waiting":
                return 0
            everyone = rows.waiting_by_owner(connection)
            mine = rows.waiting_by_owner(connection, below=job.number).get(job.owner, (0, 0))[0]
        turns = self._order(everyone)
        earlier = turns[: turns.index(job.owner)]
        return mine + sum(
            min(count, mine + (owner in earlier)) for owner, (count, _) in everyone.items() if owner != job.owner
        )

    # -- from the dispatcher -----------------------------------------------------------------------------------------

    def next(self, wanted: Wanted | None = None) -> Job | None:
        """The job that is begun next, of those that are wanted; None when nobody waits."""
        with self._store.read() as connection:
            found = self._next(connection, wanted or Wanted())
        return found[0] if found else None

    def claim(self, engine: str, wanted: Wanted | None = None) -> Job | None:
        """The next job for an engine, now running; None when nobody waits, or none that is wanted."""
        with self._store.write(durable=False) as connection:
            found = self._next(connection, wanted or Wanted())
            if found is None:
                return None
            waited, waiting = found
            values = {"state": "running", "attempts": waited.attempts + 1, "engine": engine}
            started = max(self._clock(), waited.created)
            job = rows.change(connection, waited.id, was=["waiting"], started=started, **values)
            assert job is not None
            self._served(job.owner, waiting)
        self._tell(job)
        return job

    def finish(self, id: str, note: str = "", result: str = "") -> Job:
        """It ended with its result."""
        return self._end(id, "done", note=note, result=result)

    def interrupt(self, id: str, note: str = "") -> Job:
        """It was stopped; its state is the one that was asked for."""
        return self._end(id, "interrupted", note=note)

    def fail(self, id: str, sentence: str, detail: str = "") -> Job:
        """It ended without its result."""
        return self._end(id, "failed", sentence=sentence, detail=detail)

    def give_back(self, id: str, reason: str, *, blame: bool = True) -> Job:
        """Its engine is gone: let it wait again, in its old place; or end it when that was asked for meanwhile.

        `blame`: the attempt counts against the job, and after the third it has failed. Not when the server just stops.
        """
        job = self.job(id)
        if job.stop:
            return self._end(id, "interrupted", note=reason)
        if blame and job.attempts >= MOST_ATTEMPTS:
            return self.fail(id, f"{reason} while it worked on this, {job.attempts} times; it is not tried again.")
        attempts = job.attempts if blame else job.attempts - 1
        note = f"{reason}; trying again (attempt {attempts + 1} of {MOST_ATTEMPTS})" if blame else ""
        with self._store.write() as connection:
            back = rows.change(
                connection, id, was=["running"], state="waiting", attempts=attempts, note=note, engine=""
            )
        if back is None:
            return self.job(id)
        self._tell(back)
        return back

    def recover(self) -> int:
        """At start: what ran when the last server ended waits again. Answers how many jobs that were."""
        with self._store.read() as connection:
            lost = rows.in_state(connection, "running")
        for job in lost:
            self.give_back(job.id, "the server was stopped", blame=False)
        return len(lost)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _next(self, connection: rows.Connection, wanted: Wanted) -> tuple[Job, dict[str, tuple[int, int]]] | None:
        """The job whose turn it is, and who waits."""
        waiting = rows.waiting_by_owner(connection)
        fitting = waiting
        if wanted != Wanted():
            fitting = rows.waiting_by_owner(connection, wanted.below, kinds=wanted.kinds, others=wanted.others)
        if not fitting:
            return None
        owner = self._order(waiting if wanted.in_turn else fitting)[0]
        if owner not in fitting or (wanted.in_turn and fitting[owner][1] != waiting[owner][1]):
            return None
        number = fitting[owner][1]
        job = rows.find(connection, rows.id_of(connection, number))
        assert job is not None
        return job, waiting

    def _end(self, id: str, state: State, **values: Any) -> Job:
        with self._store.write() as connection:
            running = rows.find(connection, id)
            if running is None:
                raise NotFound(f"there is no job {id[:80]!r}")
            outcome = running.stop if state == "interrupted" and running.stop else state
            ended = max(self._clock(), running.started or running.created)  # a clock set back makes no negative time
            job = rows.change(connection, id, was=["running"], state=outcome, ended=ended, **({"note": ""} | values))
        if job is None:
            return running
        self._tell(job)
        return job

    def _refuse_when_full(self, waiting: dict[str, tuple[int, int]], owner: str) -> None:
        total = sum(count for count, _ in waiting.values())
        if total >= MOST_WAITING:
            raise QueueFull(f"{total:,} jobs are waiting, more are not taken; try again later.")
        mine = waiting.get(owner, (0, 0))[0]
        if owner and mine >= MOST_OF_ONE:
            raise QueueFull(f"{mine:,} of your jobs are waiting, more are not taken; wait or cancel some.")

    def _order(self, waiting: dict[str, tuple[int, int]]) -> list[str]:
        """Owners in the order of their next turn: who was served longest ago, then who asked first."""
        with self._turns_lock:
            return sorted(waiting, key=lambda owner: (self._turns.get(owner, 0), waiting[owner][1]))

    def _served(self, owner: str, waiting: dict[str, tuple[int, int]]) -> None:
        with self._turns_lock:
            self._turn += 1
            self._turns = {one: turn for one, turn in self._turns.items() if one in waiting} | {owner: self._turn}

    def _tell(self, job: Job) -> None:
        for listener in self._listeners:
            listener(job)


def _accepted_before(job: Job, owner: str) -> Job:
    if job.owner != owner:
        message = "This job id is taken; choose another or leave it empty."
        raise InvalidRequest(Problem(field="id", message=message))
    return job


def _checked_id(id: str) -> str:
    if not id:
        return secrets.token_hex(16)
    if len(id) > LONGEST_ID or not id.isascii() or not id.isprintable():
        message = f"A job id has at most {LONGEST_ID} printable ASCII characters."
        raise InvalidRequest(Problem(field="id", message=message))
    return id
