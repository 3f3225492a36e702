"""How long the rest of a job will take, from how long its steps took so far."""

import time
from collections.abc import Callable


class Pace:
    """Times the steps and the endings (decoding, packing) of a job's batches.

    `steps`: of one batch. `batches`: how many are still to be made. The clock only runs forward (monotonic).
    """

    def __init__(self, steps: int, batches: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.steps, self.batches, self._clock = steps, batches, clock
        self._done = 0
        self._step = 0
        self._per_step: float | None = None
        self._per_ending = 0.0
        self._since = clock()

    def begin(self) -> None:
        """A batch begins to be sampled."""
        self._step = 0
        self._since = self._clock()

    def step(self) -> None:
        """One step is done. The latest ones count most: a machine's speed changes while others use it."""
        now = self._clock()
        took, self._since = now - self._since, now
        self._step += 1
        self._per_step = took if self._per_step is None or self._step == 2 else 0.7 * self._per_step + 0.3 * took

    def end(self) -> None:
        """The batch is decoded and sent, or was left."""
        now = self._clock()
        self._per_ending = now - self._since if self._step == self.steps else self._per_ending
        self._since = now
        self._done += 1
        self._step = 0

    @property
    def eta(self) -> float | None:
        """Seconds left for the whole job; None before the first step."""
        if self._per_step is None:
            return None
        left = self.batches - self._done
        steps = left * self.steps - self._step
        return max(0.0, steps * self._per_step + left * self._per_ending)
