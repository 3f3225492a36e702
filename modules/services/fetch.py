"""Models fetched from the internet, only when somebody asks: one at a time, resumable, checked before they are listed.

A file grows as a hidden part in the folder it is for. It gets its name when its size, its hash (where the site says it)
and its header are right. What a stopped server left unfinished is listed at the next start and goes on when asked to.
"""

import json
import logging
import os
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from modules.core.errors import AtelierError, InvalidOption, NotFound
from modules.core.files import sync_folder, write_atomically
from modules.core.places import FOLDERS, Places
from modules.services.fetch_net import Unreachable, refused
from modules.services.fetch_sources import Offer, Sources, size_of
from modules.services.fetch_transfer import Transfer, check_room
from modules.services.shelf_notes import Notes, notes_beside, write_notes

log = logging.getLogger(__name__)

PATIENCE = 3.0  # seconds for a transfer to end at the next block
MOST_LISTED = 50
OFFLINE = "This server was started with --offline, so it downloads nothing; start it without to fetch models."


@dataclass(frozen=True, kw_only=True)
class Download:
    """One file on its way. `state`: waiting, running, checking, done, failed, cancelled or paused (by a restart).

    `sentence`: why it failed. `rate`: bytes a second.
    """

    id: str
    source: str
    name: str
    kind: str
    size: int
    state: str = "waiting"
    done: int = 0
    rate: float = 0.0
    sentence: str = ""


@dataclass
class _Task:
    """A download, and what is known to its thread alone. The token is never written anywhere."""

    shown: Download
    offer: Offer
    target: Path
    token: str = field(repr=False, default="")
    cancel: threading.Event = field(default_factory=threading.Event)

    @property
    def part(self) -> Path:
        return self.target.with_name(f".{self.target.name}.{self.shown.id[:8]}.download")


class Downloads:
    """What is fetched. Safe from any thread; `arrived` is told after each file. `offline`: nothing is ever asked."""

    def __init__(
        self, places: Places, sources: Sources, *, offline: bool, arrived: Callable[[], None] = lambda: None
    ) -> None:
        self._places, self._sources, self._offline, self._arrived = places, sources, offline, arrived
        self._file = places.cache / "downloads.json"
        self._lock = threading.RLock()
        self._tasks: dict[str, _Task] = {one.shown.id: one for one in _read(self._file)}
        self._waiting: SimpleQueue[_Task | None] = SimpleQueue()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def offers(self, source: str, *, token: str = "", pickles: bool = False) -> tuple[Offer, ...]:
        """What a source holds, sizes included where one file is meant. Raises InvalidOption with --offline."""
        if self._offline:
            raise InvalidOption(OFFLINE)
        try:
            found = self._sources.offers(source, token=token, pickles=pickles)
            return tuple(
                replace(one, size=size_of(self._sources.net, one, token)) if at == 0 else one
                for at, one in enumerate(found)
            )
        except Unreachable as error:
            raise refused(str(error)) from error

    def start(self, source: str, offer: Offer, *, kind: str, token: str = "") -> Download:
        """Fetch one of the offers into the folder of its kind. Raises InvalidRequest, InvalidOption, StorageFailed."""
        if self._offline:
            raise InvalidOption(OFFLINE)
        if not offer.name:
            raise refused("The file there has no name that a file can have here.")
        folder = self._folder(kind)
        try:
            offer = replace(offer, size=size_of(self._sources.net, offer, token))
        except Unreachable as error:
            raise refused(str(error)) from error
        check_room(folder, offer.size)
        with self._lock:
            target = self._free(folder, offer.name)
            shown = Download(
                id=secrets.token_hex(16), source=source[:500], name=target.name, kind=kind, size=offer.size
            )
            task = _Task(shown=shown, offer=offer, target=target, token=token)
            self._tasks[shown.id] = task
            self._keep()
        self._begin(task)
        return shown

    def list(self) -> tuple[Download, ...]:
        """All downloads of this run and the unfinished ones of earlier runs, oldest first."""
        return tuple(one.shown for one in list(self._tasks.values()))

    def resume(self, id: str) -> Download:
        """Go on with one that failed or was paused. Raises NotFound, InvalidOption."""
        if self._offline:
            raise InvalidOption(OFFLINE)
        with self._lock:
            task = self._task(id)
            if task.shown.state in ("failed", "paused", "cancelled"):
                task.cancel = threading.Event()
                self._show(task, state="waiting", sentence="")
                self._begin(task)
        return task.shown

    def cancel(self, id: str) -> Download:
        """Stop a download and remove what has come. Raises NotFound."""
        task = self._task(id)
        task.cancel.set()
        with self._lock:
            if task.shown.state in ("waiting", "paused", "failed"):
                self._drop(task)
        return task.shown

    def forget(self, id: str) -> None:
        """Take one that has ended off the list, its part with it. Raises NotFound."""
        self.cancel(id)
        with self._lock:
            if self._task(id).shown.state in ("done", "cancelled"):
                del self._tasks[id]
                self._keep()

    def close(self) -> None:
        """Stop; what is unfinished can go on after the next start."""
        self._closing.set()
        self._waiting.put(None)
        if self._thread:
            self._thread.join(PATIENCE)

    # -- the thread --------------------------------------------------------------------------------------------------

    def _begin(self, task: _Task) -> None:
        with self._lock:
            self._waiting.put(task)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="downloads", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (task := self._waiting.get()) is not None and not self._closing.is_set():
            if task.shown.state != "waiting":
                continue
            try:
                self._fetch(task)
                self._settle(task)
            except _Stopped:
                self._drop(task) if task.cancel.is_set() else self._show(task, state="paused", rate=0.0)
            except (AtelierError, OSError) as error:
                sentence = str(error) if isinstance(error, AtelierError) else f"{error.strerror or error}."
                log.info("%s was not fetched: %s", task.shown.name, sentence)
                self._show(task, state="failed", sentence=sentence[:1].upper() + sentence[1:], rate=0.0)

    def _fetch(self, task: _Task) -> None:
        def came(there: int, rate: float) -> None:
            self._show(task, state="running", done=there, rate=rate)

        def go_on() -> None:
            if task.cancel.is_set() or self._closing.is_set():
                raise _Stopped

        known: dict[str, Any] = {"offer": task.offer, "part": task.part, "token": task.token}
        transfer = Transfer(net=self._sources.net, go_on=go_on, came=came, **known)
        self._show(task, state="running")
        transfer.run()
        self._show(task, state="checking", rate=0.0)
        transfer.check(task.target.name, lambda: task.cancel.is_set() or self._closing.is_set())

    def _settle(self, task: _Task) -> None:
        with self._lock:
            target = self._free(task.target.parent, task.target.name, but=task)
            os.replace(task.part, target)
            sync_folder(target.parent)
            if task.offer.notes != Notes() and notes_beside(target) == Notes():
                write_notes(target, task.offer.notes)
            self._show(task, state="done", name=target.name, done=task.offer.size)
            self._keep()
        self._arrived()

    # -- the list ----------------------------------------------------------------------------------------------------

    def _drop(self, task: _Task) -> None:
        with suppress(OSError):
            task.part.unlink(missing_ok=True)
        self._show(task, state="cancelled", done=0, rate=0.0)
        with self._lock:
            self._keep()

    def _show(self, task: _Task, **news: Any) -> None:
        task.shown = replace(task.shown, **news)

    def _task(self, id: str) -> _Task:
        task = self._tasks.get(id)
        if task is None:
            raise NotFound(f"there is no download {id[:80]!r}")
        return task

    def _keep(self) -> None:
        """Write down what is unfinished; of what has ended only the latest stay in memory."""
        ended = [id for id, one in self._tasks.items() if one.shown.state in ("done", "cancelled")]
        for id in ended[:-MOST_LISTED]:
            del self._tasks[id]
        unfinished = [one for one in self._tasks.values() if one.shown.state not in ("done", "cancelled")]
        listed = [
            {"shown": asdict(one.shown), "offer": asdict(one.offer), "target": str(one.target)} for one in unfinished
        ]
        write_atomically(self._file, json.dumps(listed).encode())

    def _folder(self, kind: str) -> Path:
        if kind == "checkpoint":
            return self._places.checkpoint_folders[0]
        if kind not in FOLDERS:
            raise refused(f"{kind[:40]!r} is no kind of model; choose one of checkpoint, {', '.join(FOLDERS)}.")
        return self._places.folders(kind)[0]

    def _free(self, folder: Path, name: str, but: _Task | None = None) -> Path:
        """A path that neither a file nor another download has."""
        taken = {one.target for one in self._tasks.values() if one is not but and one.shown.state != "cancelled"}
        stem, ending = os.path.splitext(name)
        candidates = (folder / f"{stem}{f' ({n})' if n else ''}{ending}" for n in range(1000))
        return next(one for one in candidates if one not in taken and not os.path.lexists(one))


class _Stopped(Exception):
    """Cancelled, or the server is ending."""


def _read(file: Path) -> list[_Task]:
    try:
        return [_task_of(**one) for one in json.loads(file.read_bytes())]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []


def _task_of(shown: dict[str, Any], offer: dict[str, Any], target: str) -> _Task:
    state = "failed" if shown["state"] == "failed" else "paused"
    known: dict[str, Any] = shown | {"state": state, "rate": 0.0}
    said: dict[str, Any] = offer | {"notes": Notes(**offer["notes"])}
    return _Task(shown=Download(**known), offer=Offer(**said), target=Path(target))
