"""What an administrator has set; the file is `config.json`, as in the field. Settings only fill in defaults."""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modules.core.errors import InvalidOption
from modules.core.files import write_atomically
from modules.core.named import Names, closest
from modules.core.settings import Setting, Value

log = logging.getLogger(__name__)


class Settings:
    """Values by name. Safe from any thread. Values in the file that nobody registered are left as they are."""

    def __init__(self, registered: Callable[[], Names[Setting]], file: Path) -> None:
        self._registered = registered  # asked each time: extensions are loaded after the services are built
        self._file = file
        self._lock = threading.Lock()
        self._stored = _read(file)

    @property
    def registered(self) -> Names[Setting]:
        """What can be set, by name."""
        return self._registered()

    def get(self, name: str) -> Value:
        """The value, or its default. Raises InvalidOption for a name nobody registered."""
        setting = self._find(name)
        stored = self._stored.get(name, setting.default)
        try:
            return setting.checked(stored)
        except InvalidOption as error:  # edited by hand, or a range that has changed since
            log.warning("%s in %s; using %r", error, self._file.name, setting.default)
            return setting.default

    def all(self) -> dict[str, Value]:
        """Every registered value."""
        return {name: self.get(name) for name in self.registered}

    def set(self, values: Mapping[str, Any]) -> None:
        """Change some values, all or none. Raises InvalidOption saying what was wrong, StorageFailed when not written."""
        checked = {name: self._find(name).checked(value) for name, value in values.items()}
        with self._lock:
            merged = self._stored | checked
            if merged == self._stored:
                return
            write_atomically(self._file, json.dumps(merged, indent=4, sort_keys=True).encode())
            self._stored = merged

    def _find(self, name: str) -> Setting:
        try:
            return self.registered[name]
        except KeyError:
            meant = closest(name, self.registered)
            hint = f"; did you mean {meant!r}?" if meant else ""
            raise InvalidOption(f"there is no setting {name[:80]!r}{hint}") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_bytes())
        if isinstance(values, dict):
            return {str(key): value for key, value in values.items()}  # pyright: ignore[reportUnknownArgumentType]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.error("%s cannot be read: %s", file, error)
    _set_aside(file)
    return {}


def _set_aside(file: Path) -> None:
    damaged = file.with_name(f"{file.name}.damaged")
    log.error("%s is damaged; it is kept as %s and all settings have their defaults", file, damaged.name)
    try:
        file.replace(damaged)
    except OSError as error:
        log.error("%s could not be renamed: %s", file, error.strerror)
