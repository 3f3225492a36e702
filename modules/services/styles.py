"""The styles that people saved: `styles.csv` in the data folder, as A1111 writes and reads it."""

import threading
from collections.abc import Sequence
from pathlib import Path

from modules.core.errors import InvalidOption, InvalidRequest, NotFound, Problem
from modules.core.files import write_atomically
from modules.core.named import closest
from modules.prompts.styles import Style, read_styles, write_styles

LONGEST_NAME = 200


class Styles:
    """The file, read anew at every question: people edit it by hand. Safe from any thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()

    def all(self) -> list[Style]:
        """Every style, in the file's order. Raises InvalidOption when the file cannot be read."""
        try:
            return read_styles(self._file.read_bytes().decode("utf-8-sig"))
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise InvalidOption(f"{self._file.name} cannot be read: {error}. Repair it or move it away.") from error

    def chosen(self, names: Sequence[str]) -> list[Style]:
        """The styles with these names, in this order. Raises InvalidRequest naming those that there are not."""
        known = {style.name: style for style in self.all()} if names else {}
        problems = [_unknown(name, known) for name in names if name not in known]
        if problems:
            raise InvalidRequest(*problems)
        return [known[name] for name in names]

    def save(self, style: Style) -> None:
        """Keep a style; one of the same name is replaced where it stands. Raises InvalidRequest, StorageFailed."""
        _check(style)
        with self._lock:
            kept = {one.name: one for one in self.all()} | {style.name: style}
            write_atomically(self._file, write_styles(kept.values()).encode())

    def delete(self, name: str) -> None:
        """Forget a style. Raises NotFound."""
        with self._lock:
            kept = self.all()
            if all(style.name != name for style in kept):
                raise NotFound(f"there is no style {name[:80]!r}")
            write_atomically(self._file, write_styles(style for style in kept if style.name != name).encode())


def _unknown(name: str, known: dict[str, Style]) -> Problem:
    suggestion = closest(name, known)
    hint = f"; did you mean {suggestion!r}?" if suggestion else "."
    return Problem(field="styles", message=f"There is no style {name[:80]!r}{hint}")


def _check(style: Style) -> None:
    if not style.name.strip() or len(style.name) > LONGEST_NAME or "\n" in style.name:
        message = f"A style needs a name of one line and at most {LONGEST_NAME} characters."
        raise InvalidRequest(Problem(field="name", message=message))
    for field in ("name", "prompt", "negative_prompt"):
        if any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in getattr(style, field)):
            message = "The style holds a character that is no text (NUL or half of a surrogate pair); remove it."
            raise InvalidRequest(Problem(field=field, message=message))
