"""Pictures on disk and in the database: whole, once, and only then announced."""

import logging
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modules.core.errors import NotFound, StorageFailed
from modules.core.events import ImageReady
from modules.core.files import inside, leftovers, write_atomically
from modules.core.places import Places
from modules.storage import pictures as rows
from modules.storage.records import Job, Picture
from modules.storage.store import Store

log = logging.getLogger(__name__)

DAY = 24 * 3600.0
SPARE_BYTES = 500 << 20  # with less than this free, no new job is taken


class Gallery:
    """Keeps what engines draw. Files are `txt2img-images/<date>/NNNNN-<seed>.png` below the outputs folder.

    Edits go to `img2img-images`, enlarged pictures to `extras-images` in the same way.

    A picture's row is written first ("writing"), then its file, then the row becomes "ready": whatever crashes in
    between, `recover` finds a row for each file, and no file is a part of a picture.
    """

    def __init__(self, store: Store, places: Places, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._places = places
        self._clock = clock
        self._one_keeper = threading.RLock()
        self._next_numbers: dict[str, int] = {}
        self._swept = float("-inf")

    def keep(self, event: ImageReady, job: Job) -> Picture:
        """Save a picture and its row; a picture of this job and index that is there already is answered unchanged.

        Raises StorageFailed when the disk does not take it; then there is neither row nor file.
        """
        with self._one_keeper:
            self.sweep()
            with self._store.read() as connection:
                known = rows.at(connection, job.id, event.index)
            return known if known else self._keep(event, job)

    def picture(self, id: str, owner: str | None = None) -> Picture:
        """The picture with this id; of this owner, when one is given. Raises NotFound."""
        with self._store.read() as connection:
            picture = rows.find(connection, id)
        if picture is None or (owner is not None and picture.owner != owner):
            raise NotFound(f"there is no picture {id[:80]!r}")
        return picture

    def pictures(
        self, job: str | None = None, owner: str | None = None, limit: int = 50, before: str | None = None
    ) -> tuple[Picture, ...]:
        """A job's pictures by index; or all kept ones from the newest on, `before`: the id where the last page ended."""
        with self._store.read() as connection:
            if job is None:
                return rows.listed(connection, owner=owner, limit=limit, before=before)
            found = rows.of_job(connection, job)
        return tuple(one for one in found if owner is None or one.owner == owner)

    def path(self, picture: Picture) -> Path:
        """Its file. Raises NotFound when somebody removed it."""
        return inside(self._places.outputs, picture.path)

    def check_room(self, more: int = 0) -> None:
        """Raise StorageFailed when the disk is so full that new work, which needs `more` bytes, should not be begun."""
        free, needed = shutil.disk_usage(self._places.outputs).free, SPARE_BYTES + more
        if free < needed:
            raise StorageFailed(
                f"the disk is full: {free >> 20} MB are free, {needed >> 20} are needed; make room and try again."
            )

    def recover(self) -> None:
        """At start: finish or forget what a crash left half-way, and remove parts of files."""
        with self._store.read() as connection:
            unfinished = rows.in_state(connection, "writing")
        for picture in unfinished:
            self._settle(picture)
        if self._places.outputs.is_dir():
            for part in leftovers(self._places.outputs):
                part.unlink(missing_ok=True)
        self.sweep()

    def sweep(self) -> None:
        """Once an hour: remove pictures that nobody asked to keep and that are older than a day."""
        if time.monotonic() - self._swept < 3600:
            return
        self._swept = time.monotonic()
        with self._store.read() as connection:
            old = rows.fleeting_before(connection, self._clock() - DAY)
        for picture in old:
            self._forget(picture)

    def _keep(self, event: ImageReady, job: Job) -> Picture:
        picture = self._described(event, job)
        with self._store.write() as connection:
            rows.add(connection, picture)
        try:
            write_atomically(self._places.outputs / picture.path, event.png)
        except StorageFailed as error:
            self._forget(picture)
            raise StorageFailed(f"The picture could not be saved: {error}.") from error
        with self._store.write(durable=False) as connection:
            rows.mark_ready(connection, picture.id)
        return self.picture(picture.id)

    def _described(self, event: ImageReady, job: Job) -> Picture:
        id, now = secrets.token_hex(16), self._clock()
        kept = job.request.save
        path = self._free_name(job.kind, now, event.seed) if kept else f"{self._places.fleeting.name}/{id}.png"
        known: dict[str, Any] = {
            "seed": event.seed,
            "width": event.width,
            "height": event.height,
            "infotext": event.infotext,
        }
        whose: dict[str, Any] = {
            "id": id,
            "job": job.id,
            "index": event.index,
            "owner": job.owner,
            "created": now,
            "kept": kept,
        }
        return Picture(path=path, state="writing", bytes=len(event.png), **known, **whose)

    def _free_name(self, kind: str, now: float, seed: int) -> str:
        day = time.strftime("%Y-%m-%d", time.localtime(now))
        folder = f"{self._places.pictures_of(kind).name}/{day}"
        number = self._next_numbers.get(folder)
        if number is None:
            number = 1 + max(self._numbers_in(folder), default=-1)
        self._next_numbers[folder] = number + 1
        return f"{folder}/{number:05}-{seed}.png"

    def _numbers_in(self, folder: str) -> list[int]:
        """Numbers in use, by files and by rows: a row whose file somebody deleted keeps its name."""
        with self._store.read() as connection:
            last = rows.last_path_in(connection, folder)
        names = [path.name for path in (self._places.outputs / folder).glob("*")] + [Path(last).name]
        starts = (name.split("-")[0] for name in names)
        return [int(start) for start in starts if start.isdecimal() and len(start) < 12]

    def _settle(self, picture: Picture) -> None:
        path = self._places.outputs / picture.path
        if path.is_file() and path.stat().st_size == picture.bytes:
            with self._store.write() as connection:
                rows.mark_ready(connection, picture.id)
            return
        self._forget(picture)

    def _forget(self, picture: Picture) -> None:
        try:
            (self._places.outputs / picture.path).unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s could not be removed: %s", picture.path, error.strerror)
        with self._store.write() as connection:
            rows.remove(connection, picture.id)
