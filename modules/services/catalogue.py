"""The names that engines can be asked for, as the web process knows them."""

import json
import logging
import threading
from dataclasses import replace
from pathlib import Path

from modules.core.errors import StorageFailed
from modules.core.events import Catalogue, Choice
from modules.core.files import write_atomically
from modules.core.named import Names
from modules.core.wire import BadMessage, from_json, to_json

log = logging.getLogger(__name__)


class CatalogueKeeper:
    """The last catalogue an engine sent; at start the one of the last run, so that the page is complete at once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._now = _read(file)
        self._known = threading.Event()
        if self._now.samplers:
            self._known.set()

    def now(self) -> Catalogue:
        """What is known; empty at the very first start until an engine is up."""
        return self._now

    def wait(self, timeout: float) -> Catalogue:
        """The same, after waiting for the first engine when nothing is known yet."""
        self._known.wait(timeout)
        return self._now

    def samplers(self) -> Names[Choice]:
        """Samplers by name and alias."""
        return _names("sampler", self._now.samplers)

    def schedules(self) -> Names[Choice]:
        """Schedules by name, alias and key."""
        return _names("schedule", self._now.schedules)

    def learn(self, catalogue: Catalogue) -> None:
        """An engine is up and told what it knows."""
        changed, self._now = catalogue != self._now, catalogue
        self._known.set()
        if not changed:
            return
        try:
            write_atomically(self._file, json.dumps(to_json(catalogue)).encode())
        except StorageFailed as error:
            log.warning("the next start begins without lists: %s", error)


def _names(kind: str, choices: tuple[Choice, ...]) -> Names[Choice]:
    return Names(kind, [replace(one, aliases=(*one.aliases, one.key)) if one.key else one for one in choices])


def _read(file: Path) -> Catalogue:
    try:
        value = from_json(json.loads(file.read_bytes()), Catalogue)
    except (OSError, ValueError, TypeError, BadMessage, RecursionError):
        return Catalogue()
    return value if isinstance(value, Catalogue) else Catalogue()
