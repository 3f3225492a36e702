"""What is going on right now: progress and previews in memory, for people who look on."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modules.core.events import Progress
from modules.services.gallery import Gallery
from modules.services.queue import Queue
from modules.storage.records import Job, Picture

HEARTBEAT = 15.0  # seconds after which an unchanged state is repeated, so that a lost reader is noticed


@dataclass(frozen=True, kw_only=True)
class Live:
    """One job as it is now.

    `step` of `steps` of the current batch; `fraction` of the whole job, 0 to 1; `eta` seconds left, None when unknown;
    `doing` a word for people; `preview` a JPEG; `preview_number` grows with each new one; `ahead`: jobs before it.
    """

    job: Job
    step: int = 0
    steps: int = 0
    fraction: float = 0.0
    eta: float | None = None
    doing: str = ""
    preview: bytes | None = field(default=None, repr=False)
    preview_number: int = 0
    ahead: int = 0
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Seen:
    doing: str = ""
    progress: Progress | None = None
    preview: bytes | None = None
    preview_number: int = 0


class _Reader:
    """One `changes` iterator: a flag in its event loop that other threads raise. Never more than one flag waits."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def poke(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._changed.set)
        except RuntimeError:  # its loop is closed: the reader is gone without having said so
            return

    async def wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return
        finally:
            self._changed.clear()


class Watch:
    """Live states. Written to by the dispatcher's threads, read from any thread and any event loop."""

    def __init__(self, queue: Queue, gallery: Gallery) -> None:
        self._queue = queue
        self._gallery = gallery
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._generation = 0  # how many times a job's state has changed
        self._seen: dict[str, _Seen] = {}
        self._readers: dict[_Reader, str] = {}
        self.held_up: Callable[[Job], Job | None] = lambda job: None  # the dispatcher says what a waiting job waits for
        queue.subscribe(self._job_changed)

    # -- for the faces -----------------------------------------------------------------------------------------------

    def live(self, job_id: str, owner: str | None = None) -> Live:
        """A job as it is now. Raises NotFound."""
        # what was seen is taken first: it is dropped at the job's end, and half a job must not look like none
        seen = self._now()
        return self._live(self._queue.job(job_id, owner), seen)

    def running(self) -> tuple[Live, ...]:
        """What the engines work on, first accepted first."""
        seen = self._now()
        return tuple(self._live(job, seen) for job in reversed(self._queue.jobs(states=("running",))))

    def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """Block until a job is over, or for `timeout` seconds; answers it as it is then. Raises NotFound."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._changed:
                generation = self._generation
            job = self._queue.job(job_id)
            left = None if end is None else end - time.monotonic()
            if job.over or (left is not None and left <= 0):
                return job
            with self._changed:
                self._changed.wait_for(lambda seen=generation: self._generation != seen, left)

    async def changes(self, job_id: str, owner: str | None = None, heartbeat: float = HEARTBEAT) -> AsyncIterator[Live]:
        """The state now, then after each change, the last one being the end. Raises NotFound.

        A slow reader misses states in between, never the last. After `heartbeat` seconds without news the state is
        repeated.
        """
        reader = _Reader()
        with self._lock:
            self._readers[reader] = job_id
        try:
            while True:
                live = await asyncio.to_thread(self.live, job_id, owner)
                yield live
                if live.job.over:
                    return
                await reader.wait(heartbeat)
        finally:
            with self._lock:
                del self._readers[reader]

    # -- for the dispatcher ------------------------------------------------------------------------------------------

    def progressed(self, progress: Progress) -> None:
        """An engine went on by a step."""
        with self._lock:
            seen = self._seen.get(progress.job, _Seen())
            if progress.preview is not None:
                seen = replace(seen, preview=progress.preview, preview_number=seen.preview_number + 1)
            self._seen[progress.job] = replace(seen, progress=replace(progress, preview=None))
        self._poke(progress.job)

    def engine_does(self, job_id: str, doing: str) -> None:
        """What the engine does for this job besides steps: "Loading …"."""
        with self._lock:
            self._seen[job_id] = replace(self._seen.get(job_id, _Seen()), doing=doing)
        self._poke(job_id)

    def picture_kept(self, job_id: str) -> None:
        """A picture of this job is there."""
        self._poke(job_id)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _now(self) -> dict[str, _Seen]:
        with self._lock:
            return dict(self._seen)

    def _live(self, job: Job, known: Mapping[str, _Seen]) -> Live:
        seen = known.get(job.id, _Seen())
        pictures = self._gallery.pictures(job=job.id)
        if job.state == "waiting":
            doing = job.note or self._waits_for(job)
            return Live(job=job, ahead=self._queue.ahead_of(job.id), pictures=pictures, doing=doing)
        if job.over or seen.progress is None:
            return Live(job=job, fraction=1.0 if job.state == "done" else 0.0, pictures=pictures, doing=seen.doing)
        now = seen.progress
        values: dict[str, Any] = {
            "step": now.step,
            "steps": now.steps,
            "fraction": now.fraction,
            "eta": now.eta,
            "doing": now.doing or seen.doing,
        }
        return Live(job=job, pictures=pictures, preview=seen.preview, preview_number=seen.preview_number, **values)

    def _waits_for(self, job: Job) -> str:
        """Which training it waits for, and how long; somebody else's has no name."""
        training = self.held_up(job)
        if training is None or training.id == job.id:
            return ""
        called = str(getattr(training.request, "name", ""))
        name = f"the training {called!r}" if called and training.owner == job.owner else "a training"
        with self._lock:
            progress = self._seen.get(training.id, _Seen()).progress
        left = progress.eta if progress else None
        return f"waiting for {name}" + (f", {_in_words(left)} left" if left is not None else "")

    def _job_changed(self, job: Job) -> None:
        with self._changed:
            if job.state != "running":
                self._seen.pop(job.id, None)
            self._generation += 1
            self._changed.notify_all()
        self._poke()  # everybody: each change of state may move those who wait

    def _poke(self, job_id: str | None = None) -> None:
        with self._lock:
            readers = [reader for reader, watched in self._readers.items() if job_id in (None, watched)]
        for reader in readers:
            reader.poke()


def _in_words(seconds: float) -> str:
    """
    >>> _in_words(170), _in_words(20), _in_words(9000)
    ('3 min', 'less than a minute', '2.5 h')
    """
    if seconds < 60:
        return "less than a minute"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
