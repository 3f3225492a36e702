"""The wildcards folder: text files whose lines prompts draw from, `colours/warm.txt` as __colours/warm__."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from itertools import accumulate
from pathlib import Path

from modules.core.image_fields import LONGEST_PROMPT

ENDING = ".txt"
MOST_BYTES = 16 * 2**20  # of one file
GLOB = re.compile(r"[*?]")


class ListsNow:
    """The lists as they are now. Files are read when they are first asked for, and once."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = dict(files)
        self._by_folded = {name.casefold(): name for name in files}
        self._lines: dict[str, list[str]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted(self._files))

    def get(self, name: str, /) -> Sequence[str] | None:
        """The lines of a list; of all that match when there is * or ? in the name; None when there is none.

        Case counts only where two names differ in nothing else. `*` stays in its folder, `**` goes into those below.
        """
        name = name.strip().strip("/")
        if GLOB.search(name):
            matching = [one for one in self.names if _matches(one.casefold(), name.casefold())]
            return [line for one in matching for line in self._read(one)] if matching else None
        known = name if name in self._files else self._by_folded.get(name.casefold())
        return self._read(known) if known is not None else None

    def _read(self, name: str) -> list[str]:
        if name not in self._lines:
            self._lines[name] = list(_lines(self._files[name]))
        return self._lines[name]


class Wildcards:
    """The folder. It need not exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def now(self) -> ListsNow:
        """What is there now: `.txt` files at any depth, nothing hidden, nothing that a link leads to outside."""
        return ListsNow({path.relative_to(self._folder).with_suffix("").as_posix(): path for path in self._paths()})

    def names(self) -> tuple[str, ...]:
        """How prompts write the lists, without the underscores."""
        return self.now().names

    def _paths(self) -> Iterator[Path]:
        root = self._folder.resolve()
        for folder, folders, files in os.walk(self._folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in files:
                path = Path(folder, name)
                hidden = name.startswith(".") or path.suffix.lower() != ENDING
                if not hidden and path.is_file() and path.resolve().is_relative_to(root):
                    yield path


def _lines(path: Path) -> Iterator[str]:
    """The values in a file: neither empty nor comments. What is no UTF-8 in it is read as Latin-1, as old editors write."""
    content = b""
    with suppress(OSError), path.open("rb") as file:  # gone since it was listed
        content = file.read(MOST_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    for line in text.replace("\0", "").split("\n"):
        line = line.strip()
        if line and not line.startswith("#") and len(line) <= LONGEST_PROMPT:
            yield line


def _matches(name: str, pattern: str) -> bool:
    """Whether a path matches, folder by folder; ** is any number of folders."""
    parts = name.split("/")
    reached = [True, *[False] * len(parts)]  # after so many of the name's parts the pattern so far may end
    for glob in pattern.split("/"):
        if glob == "**":
            reached = list(accumulate(reached, lambda before, here: before or here))
        else:
            reached = [
                False,
                *(before and fnmatchcase(part, glob) for before, part in zip(reached, parts, strict=False)),
            ]
    return reached[-1]
