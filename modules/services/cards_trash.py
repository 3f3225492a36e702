"""Models that somebody deleted: out of the lists at once, gone for good a day later, and until then they can come back.

A file stays on its disk: it is renamed into a hidden folder beside it, so that even a large one takes no time.
"""

import json
import logging
import os
import secrets
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from modules.core.errors import NotFound, StorageFailed
from modules.core.files import write_atomically
from modules.services.shelf_notes import PREVIEWS, stem_of

log = logging.getLogger(__name__)

FOLDER = ".atelier-trash"
SECONDS = 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class _Removed:
    """Files of one model: `names` lay in `folder` and lie in its trash folder `token` now."""

    token: str
    folder: str
    names: tuple[str, ...]
    when: float


class Trash:
    """What was removed, listed in `file`. Safe from any thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._removed = {one.token: one for one in _read(file)}

    def put(self, path: Path) -> str:
        """Take a model and what lies beside it away; answers the token to bring it back. Raises StorageFailed."""
        stem = stem_of(path)
        beside = (stem.with_name(stem.name + ending) for ending in (".json", *PREVIEWS))
        names = (path.name, *(one.name for one in beside if os.path.lexists(one) and one != path))
        removed = _Removed(token=secrets.token_hex(16), folder=str(path.parent), names=names, when=time.time())
        with self._lock:
            self._keep({**self._removed, removed.token: removed})
            _move(removed, path.parent, _place(removed))
        return removed.token

    def restore(self, token: str) -> None:
        """Bring a model back. Raises NotFound when it is gone for good, StorageFailed when its name is taken."""
        with self._lock:
            removed = self._removed.get(token)
            if removed is None or not _place(removed).is_dir():
                raise NotFound("this model is not in the trash any more")
            taken = [name for name in removed.names if os.path.lexists(Path(removed.folder, name))]
            if taken:
                raise StorageFailed(f"there is another {taken[0]} by now; rename it, then try again")
            _move(removed, _place(removed), Path(removed.folder))
            self._forget(removed)

    def sweep(self) -> None:
        """Remove for good what has lain here for a day."""
        with self._lock:
            for removed in list(self._removed.values()):
                if not 0 <= time.time() - removed.when <= SECONDS:
                    shutil.rmtree(_place(removed), ignore_errors=True)
                    self._forget(removed)

    def _forget(self, removed: _Removed) -> None:
        for folder in (_place(removed), _place(removed).parent):
            with suppress(OSError):  # others lie there, or it went already
                folder.rmdir()
        self._keep({token: one for token, one in self._removed.items() if token != removed.token})

    def _keep(self, removed: dict[str, _Removed]) -> None:
        write_atomically(self._file, json.dumps([asdict(one) for one in removed.values()]).encode())
        self._removed = removed


def _place(removed: _Removed) -> Path:
    return Path(removed.folder, FOLDER, removed.token)


def _move(removed: _Removed, source: Path, target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name in reversed(removed.names):  # the model last: until then it is not half gone
            if os.path.lexists(source / name):
                os.rename(source / name, target / name)
    except OSError as error:
        raise StorageFailed(f"{removed.names[0]} could not be moved: {error.strerror}") from error


def _read(file: Path) -> list[_Removed]:
    try:
        return [_record(**one) for one in json.loads(file.read_bytes())]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []


def _record(token: str, folder: str, names: list[str], when: float) -> _Removed:
    return _Removed(token=token, folder=folder, names=tuple(names), when=when)
