"""What the engine is doing and how much memory it takes, for the line at the top of the page."""

import time

import torch

from modules.core.events import EngineStatus
from modules.engine.connection import Connection
from modules.engine.memory import memory

SECONDS_BETWEEN = 2.0


class Status:
    """Remembers what was said last. `doing` is "" while the engine waits for work."""

    def __init__(self, connection: Connection, device: torch.device) -> None:
        self._connection, self._device = connection, device
        self._doing, self._model = "", ""
        self._said = 0.0

    def say(self, doing: str | None = None, *, model: str | None = None) -> None:
        """Tell at once. `model`: the title of the one in memory. None is for what did not change."""
        self._doing = self._doing if doing is None else doing
        self._model = self._model if model is None else model
        self._send()

    def refresh(self) -> None:
        """Tell how much memory is used now, when that was last told some seconds ago."""
        if time.monotonic() - self._said > SECONDS_BETWEEN:
            self._send()

    def _send(self) -> None:
        used, total = memory(self._device)
        self._said = time.monotonic()
        self._connection.send(EngineStatus(doing=self._doing, memory_used=used, memory_total=total, model=self._model))
