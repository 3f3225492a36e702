"""Model files that appear, change or go are seen without a restart: the folders are looked at every few seconds."""

import logging
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

log = logging.getLogger(__name__)

SECONDS = 2.0
SHARE = 20  # looking takes at most this part of the time, however many files there are


class Listing(Protocol):
    """Something that lists files: the library, the shelf."""

    def signature(self) -> Hashable: ...

    def refresh(self) -> object: ...


class HotReload:
    """Refreshes listings whose files changed, from a thread of its own. `heard` is told after each refresh."""

    def __init__(self, listings: Sequence[Listing], heard: Callable[[], None] = lambda: None) -> None:
        self._listings, self._heard = listings, heard
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hot reload", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        known: list[Hashable] = [None] * len(self._listings)  # what changed since they were scanned is not known either
        pause = SECONDS
        while not self._closing.wait(pause):
            began = time.monotonic()
            for at, listing in enumerate(self._listings):
                found = listing.signature()
                if found != known[at]:
                    known[at] = found
                    self._again(listing)
            pause = max(SECONDS, SHARE * (time.monotonic() - began))

    def _again(self, listing: Listing) -> None:
        try:
            listing.refresh()
            self._heard()
        except OSError as error:  # a disk that went away: what was listed stays
            log.warning("the model folders could not be read: %s", error)
