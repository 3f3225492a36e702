"""A run's folder: what it is to do, how it stands, each step's numbers. Written here, read by the web process.

Every file is whole or not there, so that whoever reads while we write, or after we were killed, sees sense.
"""

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from modules.core.errors import InvalidRequest, Problem, StorageFailed
from modules.core.files import write_atomically
from modules.core.training import TrainingNumbers, TrainingPlan
from modules.core.wire import from_json, to_json

PLAN, STATUS, LOG, MEASURE = "plan.json", "status.json", "log.jsonl", "measure.json"
CHECKPOINT, SNAPSHOTS, PREVIEWS, PICTURES = "checkpoint", "snapshots", "previews", "pictures"
ID = re.compile("[0-9a-zA-Z_-]{1,100}")
SECONDS_BETWEEN = 1.0


class Folder:
    """The folder of one run, made when it is not there. Raises InvalidRequest for an id that is none."""

    def __init__(self, root: Path, run: str) -> None:
        if not ID.fullmatch(run):
            raise InvalidRequest(Problem(field="run", message=f"{run[:80]!r} is the name of no training."))
        self.run, self.path = run, root / run

    @property
    def checkpoint(self) -> Path:
        """Where the state lies that a training goes on from."""
        return self.path / CHECKPOINT

    def snapshot(self, step: int) -> Path:
        """The folder of what was learned after so many steps."""
        return self.path / SNAPSHOTS / f"{step:06d}"

    def previews(self, step: int) -> Path:
        """The folder of the pictures drawn after so many steps."""
        return self.path / PREVIEWS / f"{step:06d}"

    def steps_of(self, kind: str) -> list[int]:
        """The steps that there are snapshots or previews of, ascending."""
        parent = self.path / kind
        found = parent.iterdir() if parent.is_dir() else ()
        return sorted(int(one.name) for one in found if one.is_dir() and one.name.isdigit())

    def write(self, name: str, value: Any) -> None:
        """Keep plain values as JSON. Raises StorageFailed."""
        write_atomically(self.path / name, json.dumps(value, ensure_ascii=False, indent=1).encode())

    def read(self, name: str) -> Any:
        """What was kept; None when there is nothing, or nothing readable."""
        try:
            return json.loads((self.path / name).read_bytes())
        except (OSError, ValueError):
            return None

    def keep_plan(self, plan: TrainingPlan) -> None:
        """What is done here."""
        self.write(PLAN, to_json(plan))

    def plan(self) -> TrainingPlan | None:
        """What was to be done here, when there is such a run."""
        kept = self.read(PLAN)
        return from_json(kept, TrainingPlan) if isinstance(kept, dict) else None


class Status:
    """How the run stands: `status.json`, written at each change and at least every second while work goes on.

    Times are seconds since 1970. What an earlier attempt said of files and of the beginning stays.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        before = folder.read(STATUS)
        self._known: dict[str, Any] = before if isinstance(before, dict) else {}
        self._known.setdefault("started", time.time())
        self._written = 0.0

    def __getitem__(self, name: str) -> Any:
        return self._known.get(name)

    def say(self, **changes: Any) -> None:
        """Write what has changed, at once. Raises StorageFailed."""
        self._known |= changes | {"updated": time.time()}
        self._folder.write(STATUS, self._known)
        self._written = time.monotonic()

    def note(self, **changes: Any) -> None:
        """Remember what has changed; it is written when the last time is a second ago."""
        self._known |= changes
        if time.monotonic() - self._written >= SECONDS_BETWEEN:
            self.say()


class Log:
    """Each step's numbers, a line of JSON each. Lines behind `after` are cut off: those steps are taken again.

    A line is handed to the system at once, and to the disk when `sync` is called.  Raises StorageFailed.
    """

    def __init__(self, folder: Folder, after: int) -> None:
        self._path = folder.path / LOG
        lines = [line for line in self._lines() if line["step"] <= after]
        write_atomically(self._path, b"".join(_packed(line) for line in lines))
        self._file: BinaryIO = self._path.open("ab", buffering=0)

    def _lines(self) -> list[dict[str, Any]]:
        try:
            content = self._path.read_bytes()
        except OSError:
            return []
        return [found for line in content.splitlines() if (found := _line(line))]

    def add(self, numbers: TrainingNumbers) -> None:
        """One step was taken."""
        try:
            self._file.write(_packed(asdict(numbers)))
        except OSError as error:
            raise StorageFailed(f"{LOG} could not be written: {error.strerror or error}") from error

    def sync(self) -> None:
        """Let the lines so far outlive the machine."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """No more lines."""
        self._file.close()


def _packed(line: Mapping[str, Any]) -> bytes:
    return json.dumps(line).encode() + b"\n"


def _line(text: bytes) -> dict[str, Any]:
    """A line again; nothing for what a crash cut off."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("step"), int) else {}
