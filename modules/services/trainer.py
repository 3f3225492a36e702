"""The trainer: an engine process that is there while a training waits or runs, and gone with all its memory afterwards."""

import threading
from collections.abc import Sequence

from modules.core import events
from modules.core.training import TRAINER_KINDS
from modules.services.connection import EngineConnection
from modules.services.needs import Needs
from modules.services.supervisor import FAILED_AFTER, Supervisor
from modules.services.training.run_folder import RunFolder
from modules.services.turns import TRAINING, Turns
from modules.storage.records import Job

NAME = "trainer"
LOOK_SECONDS = 5.0  # from one look to the next, while the drawing engine is being waited for


class Trainer(Supervisor):
    """The thread that starts the process when it is a training's turn, feeds it, and ends it when none is left.

    `drawers`: the supervisors whose models are unloaded before, because they work on the same device.
    """

    role = "training"

    def __init__(self, device: str, needs: Needs, turns: Turns, drawers: Sequence[Supervisor]) -> None:
        super().__init__(NAME, device, needs, turns)
        self._drawers = tuple(drawers)
        self._wake = threading.Event()
        self._reached: dict[str, int] = {}  # by run: the step at which its process was lost
        self._resting = False  # it has been asked to end because no training is left
        self._show(state="off")

    def ask_to_quit(self) -> None:
        """End the training after its current step, and this thread with it."""
        super().ask_to_quit()
        self._wake.set()

    def poke(self) -> None:
        """Look whether it is a training's turn."""
        self._wake.set()
        if self._connection:  # else nobody would ever take it out of the inbox
            super().poke()

    def _job_changed(self, job: Job) -> None:
        self._wake.set()  # whoever comes or ends may change whose turn it is
        if job.state == "running" and job.stop and job.kind in TRAINER_KINDS:
            super()._job_changed(job)

    # -- its life ----------------------------------------------------------------------------------------------------

    def _wait_until_needed(self) -> bool:
        while not self._stopping.is_set():
            if self._stored(self._turns.take):
                self._make_room()
                while not self._inbox.empty():  # what was said while there was nobody to hear it
                    self._inbox.get()
                self._show(state="starting", doing="")
                return not self._stopping.is_set()
            self._wake.wait(LOOK_SECONDS if self._turns.wanted else None)
            self._wake.clear()
        return False

    def _make_room(self) -> None:
        for one in self._drawers:
            if self._turns.closed(one.state.device):
                one.unload()

    def _bury(self, reason: str) -> None:
        if self._resting and self._job is None:
            self._deaths = 0
            self._show(state="off", doing="", model="", memory_used=0, pid=0)
        else:
            super()._bury(reason)
            if self._deaths >= FAILED_AFTER:
                self._give_up(reason)
        self._resting = False
        self._turns.leave()

    def _blames(self, job: Job) -> bool:
        """A training that has come further than ever before goes on as often as need be; one that does not, three times."""
        run = getattr(job.request, "run", "") or job.id
        reached = (RunFolder(self._needs.places.training, run).last() or {}).get("step", 0)
        further = reached > self._reached.get(run, 0)
        self._reached[run] = max(reached, self._reached.get(run, 0))
        return super()._blames(job) and not further

    def _give_up(self, reason: str) -> None:
        """Who waits for a process that cannot be started is told, and the pictures behind are drawn."""
        job = self._stored(lambda: self._needs.queue.claim(self.state.name, TRAINING))
        if job:
            sentence = f"The trainer cannot run: {reason}; the server's log says why."
            self._stored(lambda: self._needs.queue.fail(job.id, sentence))

    # -- jobs --------------------------------------------------------------------------------------------------------

    def _claim(self) -> Job | None:
        return None if self._resting else self._turns.claim_training(self.state.name)

    def _let_go(self) -> None:
        self._stored(self._turns.trained)

    def _rest(self, engine: EngineConnection) -> None:
        if not self._resting:
            self._resting = True
            engine.send(events.Quit())
