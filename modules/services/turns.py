"""Whose turn it is: on a device pictures are drawn and models are trained, one after the other or beside each other."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from modules.core.training import TRAINER_KINDS, TrainingPlan
from modules.services.queue import Queue, Wanted
from modules.storage.records import Job

DRAWING = Wanted(others=TRAINER_KINDS)
TRAINING = Wanted(kinds=TRAINER_KINDS)


class Turns:
    """Hands out the queue's jobs to the drawing engines and to the trainer. Safe from any thread.

    A training works on the first of the `devices`, or on as many as its plan says. Unless they share them (`shares()`),
    these belong to the drawing engines or to the trainer. On the first, jobs come in the queue's order: a training
    begins when it is next, and the pictures that wait when it ends are drawn before another one begins, so that many
    trainings cannot hold up the pictures for longer than one takes.
    """

    def __init__(self, queue: Queue, devices: Sequence[str] = (), shares: Callable[[], bool] = lambda: True) -> None:
        self._queue, self._devices, self._shares = queue, tuple(devices), shares
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []
        self._training: Job | None = None  # it has its devices to itself, or gets them as soon as nobody draws any more
        self._drawing: dict[str, str] = {}  # engines that have a job, and their devices
        self._guests = 0  # pictures accepted before this number are drawn before the next training

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener`, which returns at once, whenever the device may be somebody else's now."""
        self._listeners.append(listener)

    # -- for the drawing engines -------------------------------------------------------------------------------------

    def claim_drawing(self, engine: str, device: str) -> Job | None:
        """The next picture for an engine on this device, now running; None when none waits or the device trains."""
        with self._lock:
            job = self._drawn_next(engine, device)
            if job:
                self._drawing[engine] = device
        return job

    def left(self, engine: str) -> None:
        """An engine has no job any more."""
        with self._lock:
            self._drawing.pop(engine, None)
        self._tell()

    def closed(self, device: str) -> Job | None:
        """The training that keeps this device from drawing."""
        training = self._training
        return training if training and device in self._lent(training) and not self._shares() else None

    def waits_for(self, job: Job) -> Job | None:
        """The training that keeps a job from being begun: no device draws."""
        held = [self.closed(device) for device in self._devices]
        return held[0] if held and all(held) else None

    # -- for the trainer ---------------------------------------------------------------------------------------------

    @property
    def wanted(self) -> bool:
        """Whether a training waits for the drawing engine to get ready."""
        return self._training is not None

    def take(self) -> bool:
        """Give the device to the next training if it is its turn. Whether it may begin: nobody draws any more."""
        before = self._training
        with self._lock:
            self._training = self._trained_next()
            free = self._training is not None and (self._shares() or not self._busy(self._lent(self._training)))
        if before and not self._training:
            self._tell()
        return free

    def claim_training(self, engine: str) -> Job | None:
        """The next training, now running; None when it is not the turn of any."""
        with self._lock:
            if self._training is None and self._trained_next() is None:
                return None
            job = self._queue.claim(engine, TRAINING)
            self._training = job
        return job

    def trained(self) -> None:
        """A training has ended: the pictures that wait by now come before the next one."""
        with self._lock:
            self._training = None
            newest = self._queue.jobs(states=("waiting",), limit=1)
            self._guests = newest[0].number + 1 if newest else 0

    def leave(self) -> None:
        """The trainer is gone, and its memory is free."""
        with self._lock:
            self._training = None
        self._tell()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _lent(self, training: Job) -> tuple[str, ...]:
        """The devices that a training works on."""
        plan = training.request
        return self._devices[: plan.num_processes if isinstance(plan, TrainingPlan) else 1]

    def _busy(self, devices: Sequence[str]) -> bool:
        return any(device in devices for device in self._drawing.values())

    def _drawn_next(self, engine: str, device: str) -> Job | None:
        if self.closed(device):
            return None
        if self._shares() or device not in self._devices[:1]:
            return self._queue.claim(engine, DRAWING)
        guest = self._queue.claim(engine, replace(DRAWING, below=self._guests)) if self._guests else None
        if guest is None:
            self._guests = 0
        return guest or self._queue.claim(engine, replace(DRAWING, in_turn=True))

    def _trained_next(self) -> Job | None:
        """The training whose turn it is."""
        if self._shares():
            return self._queue.next(TRAINING)
        if self._guests and self._queue.next(replace(DRAWING, below=self._guests)):
            return None
        return self._queue.next(replace(TRAINING, in_turn=True))

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
