"""What a job kind's `run(request, context)` may use: the models, the way to report, and whether to go on."""

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from modules.core.errors import Cancelled, Skipped
from modules.core.events import ImageReady, Progress, RunJob
from modules.core.extension_points import Guidance, Sampler, Schedule
from modules.core.named import Names
from modules.core.plugins import Plugins
from modules.engine.connection import Connection
from modules.engine.models import Models
from modules.engine.status import Status


class Ending(BaseException):
    """The engine was asked to end: leave the job as it is, the queue will hand it out again."""


@dataclass
class Wishes:
    """What the owner of a job asked for while it runs; set by the thread that reads messages."""

    cancel: threading.Event = field(default_factory=threading.Event)
    skip: threading.Event = field(default_factory=threading.Event)
    steering: "SimpleQueue[str]" = field(default_factory=SimpleQueue)  # what a training is asked for, see events.Steer

    def steered(self) -> frozenset[str]:
        """What was asked for since this was last looked at."""
        found: set[str] = set()
        with suppress(Empty):
            while True:
                found.add(self.steering.get_nowait())
        return frozenset(found)


@dataclass(frozen=True, kw_only=True)
class JobContext:
    """One running job. `have`: indices of pictures that need not be sent again."""

    job: RunJob
    models: Models
    plugins: Plugins
    connection: Connection = field(repr=False)
    status: Status
    wishes: Wishes
    ending: threading.Event
    checkpoints: Path = field(default_factory=Path)  # folder for checkpoints that jobs make
    loras: Path = field(default_factory=Path)  # folders for what trainings make
    embeddings: Path = field(default_factory=Path)
    training: Path = field(default_factory=Path)  # one folder for each run
    notes: list[str] = field(default_factory=list)  # remarks for the page, sent when the job is finished
    left_out: set[str] = field(default_factory=set)  # paths of network files that could not be applied
    result: list[str] = field(default_factory=list)  # what a job gives that makes no pictures; lines of text

    @property
    def have(self) -> frozenset[int]:
        """Indices of pictures that an earlier attempt delivered."""
        return frozenset(self.job.have)

    def check(self) -> None:
        """Go on? Raises Cancelled, Skipped (once for each wish) or Ending."""
        if self.ending.is_set():
            raise Ending
        if self.wishes.cancel.is_set():
            raise Cancelled("the job was interrupted")
        if self.wishes.skip.is_set():
            self.wishes.skip.clear()
            raise Skipped("the batch was skipped")

    def report(self, **known: Any) -> None:
        """Send a Progress with these fields."""
        self.connection.send(Progress(job=self.job.job, **known))

    def send(self, picture: ImageReady) -> None:
        """Deliver a picture."""
        self.connection.send(picture)

    @property
    def samplers(self) -> Names[Sampler]:
        """All samplers, built-in and of extensions."""
        return self.plugins.collect("register_samplers")

    @property
    def schedules(self) -> Names[Schedule]:
        """All schedules."""
        return self.plugins.collect("register_schedules")

    @property
    def guidance(self) -> Names[Guidance]:
        """All ways to combine the predictions with and without text."""
        return self.plugins.collect("register_guidance")
