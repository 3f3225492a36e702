"""The engine's end of the connection to the web process: whole messages out, from any thread."""

import os
import threading
from typing import Any, BinaryIO

from modules.core.wire import write_message


class Connection:
    """Sends messages one after the other. When nobody listens any more the process ends: an engine is never an orphan."""

    def __init__(self, writer: BinaryIO) -> None:
        self._writer = writer
        self._lock = threading.Lock()

    def send(self, message: Any) -> None:
        """Send one message, whole."""
        with self._lock:
            try:
                write_message(self._writer, message)
            except (OSError, ValueError):  # ValueError: closed on our side, while the process is ending
                leave(0)


def leave(status: int) -> None:
    """End the process at once: no exit handlers, no waiting for threads that are inside a long computation."""
    os._exit(status)
