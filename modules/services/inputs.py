"""Pictures that people bring along: checked, kept once each, and forgotten when nobody needs them any more."""

import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from modules.core.errors import InvalidImage, NotFound
from modules.core.files import write_atomically
from modules.core.training import TrainingPlan
from modules.imaging.metadata import open_picture
from modules.services.queue import MOST_WAITING, Queue

log = logging.getLogger(__name__)

KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg", "WEBP": "image/webp", "BMP": "image/bmp"}
ID = re.compile(r"[0-9a-f]{64}")
MOST_PIXELS = 50_000_000  # Pillow takes 4 bytes for each, so this is 200 MB while a picture is looked at
DAY = 24 * 3600.0
DAYS_KEPT = 7
SWEEP_EVERY = 3600.0  # seconds
MOST_BYTES = 8 << 30  # of all together; beyond it the ones that were used longest ago go


@dataclass(frozen=True, kw_only=True)
class Input:
    """A stored picture. `width`, `height` in pixels, the way up it is looked at."""

    id: str
    width: int
    height: int


class Inputs:
    """Files named by the SHA-256 of their content, so that the same picture is stored once and an id cannot be guessed.

    Whoever names an id has the picture, or was given the id by who has it. Safe from any thread.
    `needed()` answers the ids that unfinished jobs work on; `check_room()` raises StorageFailed when the disk is full.
    """

    def __init__(
        self,
        folder: Path,
        *,
        needed: Callable[[], Collection[str]] = tuple,
        check_room: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._folder = folder
        self._needed = needed
        self._check_room = check_room
        self._clock = clock
        self._most_bytes = most_bytes
        self._bytes = 0  # as of the last sweep, and what came since
        self._one_decoder = threading.Lock()  # one picture's memory at a time, not one per thread
        self._files = threading.Lock()
        self._swept = float("-inf")

    def keep(self, data: bytes) -> str:
        """See `store`; the id alone."""
        return self.store(data).id

    def store(self, data: bytes) -> Input:
        """Keep a PNG, JPEG, WebP or BMP file as it is; on the disk when this returns. Of an animation the first frame counts.

        Raises InvalidImage for anything else, for damaged files and those over the size limit, which is looked up
        before anything is decoded; StorageFailed when the disk does not take it.
        """
        width, height = self._checked(data)
        id = hashlib.sha256(data).hexdigest()
        with self._files:
            self._sweep_sometimes()
            if not self._used_again(id):
                self._check_room()
                write_atomically(self._folder / id, data)
                self._bytes += len(data)
                if self._bytes > self._most_bytes:
                    self._make_room(id)
        return Input(id=id, width=width, height=height)

    def path(self, id: str) -> Path:
        """The file. Raises NotFound."""
        path = self._folder / id
        if not ID.fullmatch(id) or not path.is_file():
            raise NotFound(f"there is no picture {id[:80]!r} to work on; it may be older than {DAYS_KEPT} days")
        return path

    def get(self, id: str) -> bytes:
        """The content of the file. Raises NotFound."""
        try:
            return self.path(id).read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"there is no picture {id[:80]!r} to work on") from error

    def media_type(self, id: str) -> str:
        """What kind of picture it is, for a browser. Raises NotFound."""
        with self.path(id).open("rb") as file:
            start = file.read(12)
        kinds = {b"\x89P": "PNG", b"\xff\xd8": "JPEG", b"RI": "WEBP", b"BM": "BMP"}
        return KINDS[kinds[start[:2]]]

    def sweep(self, days: float = DAYS_KEPT) -> int:
        """Remove what no unfinished job needs and nobody has brought along for `days`. Answers how many there were."""
        with self._files:
            return self._sweep(days)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _checked(self, data: bytes) -> tuple[int, int]:
        if data[:4] == b"GIF8":
            raise InvalidImage("GIF pictures cannot be worked on; send a PNG, JPEG, WebP or BMP file.")
        with self._one_decoder:
            return open_picture(data, MOST_PIXELS).size

    def _used_again(self, id: str) -> bool:
        """Whether it is there; from now on it is as young as a new one."""
        try:
            os.utime(self._folder / id, times=(self._clock(), self._clock()))
        except FileNotFoundError:
            return False
        return True

    def _sweep_sometimes(self) -> None:
        if time.monotonic() - self._swept > SWEEP_EVERY:
            self._sweep(DAYS_KEPT)

    def _sweep(self, days: float) -> int:
        self._swept = time.monotonic()
        files = self._by_age()
        self._bytes = sum(file.stat().st_size for file in files)
        limit = self._clock() - days * DAY
        old = [path for path in files if path.stat().st_mtime < limit]
        return len(self._forgotten(old))

    def _make_room(self, newest: str) -> None:
        """One that is asked for after this is missed with a sentence; a full disk would stop everybody."""
        over = self._bytes - self._most_bytes * 9 // 10
        chosen: list[Path] = []
        for path in self._by_age():
            if over > 0 and path.name != newest:
                chosen.append(path)
                over -= path.stat().st_size
        self._forgotten(chosen)

    def _by_age(self) -> list[Path]:
        """The pictures, the one used longest ago first."""
        if not self._folder.is_dir():
            return []
        found = [path for path in self._folder.iterdir() if ID.fullmatch(path.name)]
        return sorted(found, key=lambda path: path.stat().st_mtime)

    def _forgotten(self, files: list[Path]) -> list[Path]:
        """Those of the files that no unfinished job needs; they are gone."""
        needed = set(self._needed()) if files else set[str]()
        gone = [path for path in files if path.name not in needed]
        for path in gone:
            self._bytes -= path.stat().st_size
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s could not be removed: %s", path.name, error.strerror)
        return gone


def inputs_needed(queue: Queue, removed: Collection[str] = ()) -> set[str]:
    """The ids of all pictures that jobs which wait or run work on; a training's until it is one of the `removed`."""
    jobs = [*queue.jobs(states=("waiting", "running"), limit=2 * MOST_WAITING)]
    for job in queue.jobs(kinds=("train",), limit=MOST_WAITING):
        plan = job.request
        if isinstance(plan, TrainingPlan) and not plan.dry and (plan.run or job.id) not in removed:
            jobs.append(job)
    return {id for job in jobs for id in job.request.inputs}
