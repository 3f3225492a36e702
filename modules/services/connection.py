"""One engine process and the line to it: messages over its standard input and output, its log into ours."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from modules.core.flags import ROOT
from modules.core.wire import BadMessage, read_message, write_message

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "modules.engine_main")
LONGEST_LOG_LINE = 2000
LAST_SECONDS = 1.0  # from the end of the line to the end of the process


class Gone:
    """The engine's end of the line closed; always the last thing received."""


class EngineConnection:
    """A running engine process.

    `receive` gets every message, and `Gone` as the last thing, on a thread of the connection's own. Raises OSError when
    the process cannot be started. The thread that makes the connection must live as long as the process: on Linux an
    engine asks to be killed when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG).
    """

    def __init__(self, name: str, receive: Callable[[Any], None], command: Sequence[str] = COMMAND) -> None:
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        # Its own session: Ctrl-C in the terminal is for the server, which then stops its engines in order.
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._receive = receive
        self._threads = [
            threading.Thread(target=self._read_messages, name=f"{name} messages", daemon=True),
            threading.Thread(target=self._read_log, args=[f"engine.{name}"], name=f"{name} log", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, message: Any) -> None:
        """Send a message; to an engine that is gone, nothing. One thread at a time."""
        with suppress(OSError, ValueError):
            write_message(_open(self._process.stdin), message)

    def kill(self) -> None:
        """End it and whatever it started, at once."""
        if os.name == "nt":
            self._process.kill()
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its session's leader: the group has its pid

    def ended(self) -> str:
        """Wait for its end, and say how it came: "the engine ended (killed by signal SIGSEGV)"."""
        self._ended_within(LAST_SECONDS)  # else the kill below would be taken for the cause
        self.kill()  # it may have closed the line without ending, or left children behind
        code = self._process.wait()
        for thread in self._threads:
            thread.join(1)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with suppress(OSError):
                _open(stream).close()
        return f"the engine ended ({_how(code)})"

    def _ended_within(self, seconds: float) -> bool:
        """Wait for the process to end by itself."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _read_messages(self) -> None:
        stream = _open(self._process.stdout)
        try:
            while True:
                self._receive(read_message(stream))
        except (EOFError, OSError, ValueError):
            pass
        except BadMessage as error:
            log.error("engine %s sends what is no message (%s); it is ended", self.pid, error)
            self.kill()
        self._receive(Gone())

    def _read_log(self, name: str) -> None:
        engine_log = logging.getLogger(name)
        with suppress(OSError, ValueError):
            for line in iter(lambda: _open(self._process.stderr).readline(LONGEST_LOG_LINE), b""):
                engine_log.info("%s", line.decode(errors="replace").rstrip())


def _open(stream: Any) -> BinaryIO:
    assert stream is not None, "the process was started with pipes"
    return stream


def _how(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
