"""The engines of this machine, as the faces see them."""

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

from modules.core.errors import EngineLost
from modules.core.events import PluginReport
from modules.core.requests import ModelRecord
from modules.services.queue import Queue
from modules.services.supervisor import EngineState as EngineState
from modules.services.supervisor import Supervisor
from modules.services.turns import Turns
from modules.storage.records import Job

LOAD_SECONDS = 600.0
STOP_SECONDS = 3.0
IDLE_SECONDS = 1.0  # who does nothing, or only imports torch, has nothing to finish


class Engines:
    """All engines together. Safe from any thread."""

    def __init__(self, queue: Queue, supervisors: Sequence[Supervisor], turns: Turns | None = None) -> None:
        self._queue = queue
        self._turns = turns or Turns(queue)
        self._supervisors = tuple(supervisors)
        self._drawing = tuple(one for one in supervisors if one.role == "drawing")

    def states(self) -> tuple[EngineState, ...]:
        """What each engine does now; the trainer comes last."""
        return tuple(self._told(one.state) for one in self._supervisors)

    def reports(self) -> tuple[PluginReport, ...]:
        """How the extensions fared in the engines."""
        return tuple(report for one in self._supervisors for report in one.plugin_reports)

    def interrupt(self, job_id: str, owner: str | None = None) -> Job:
        """Stop a job within one step, what it has made is kept; one that waits is taken out. Raises NotFound."""
        return self._queue.ask_to_stop(job_id, "interrupted", owner)

    def skip(self, job_id: str) -> None:
        """Leave the current batch of a running job and go on with the next; nothing when it does not run."""
        for one in self._supervisors:
            one.skip(job_id)

    def steer(self, job_id: str, wish: str) -> None:
        """Ask a running training to "sample", "save" or "finish"; nothing when it does not run."""
        for one in self._supervisors:
            one.steer(job_id, wish)

    def load(self, record: ModelRecord, timeout: float = LOAD_SECONDS) -> None:
        """Have a checkpoint in the memory of every engine that draws; blocks until it is, after the jobs that run now.

        An engine whose device is lent to a training loads it with its next picture. Raises what the engine said (InvalidModelFile, OutOfMemory, …), or EngineLost when it ended or did not answer.
        """
        end = time.monotonic() + timeout
        for done in [one.load(record) for one in self._drawing if not self._turns.closed(one.state.device)]:
            _result(done, end - time.monotonic(), record)

    def unload(self) -> None:
        """Give the memory of all models back."""
        for one in self._drawing:
            one.unload()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End all engines: after their current step, after `seconds` by force. Their jobs wait for the next start."""
        for one in self._supervisors:
            one.ask_to_quit()
        begun = time.monotonic()
        for one in self._supervisors:
            patience = seconds if one.state.job else min(seconds, IDLE_SECONDS)
            one.join(max(0.0, begun + patience - time.monotonic()))
        for one in self._supervisors:
            if one.is_alive():
                one.kill()
                one.join(1)

    def _told(self, state: EngineState) -> EngineState:
        if state.role == "drawing" and state.state == "ready" and self._turns.closed(state.device):
            return replace(state, doing="waiting for a training")
        return state


def _result(done: "Future[None]", seconds: float, record: ModelRecord) -> None:
    try:
        done.result(max(0.0, seconds))
    except TimeoutError as error:
        raise EngineLost(f"The engine did not load {record.title} in time; see its log.") from error
