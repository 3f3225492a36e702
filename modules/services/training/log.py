"""A run's `log.jsonl`, one line of numbers for each step: thinned for a plot, followed while it grows."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

MOST_POINTS = 2_000
READ_WHOLE = 16 << 20  # bytes; of a longer log only lines at even distances are read
LONGEST_LINE = 4_096
LAST_BYTES = 16_384

Line = dict[str, Any]


def numbers(path: Path, after: int = 0, most: int = MOST_POINTS) -> list[Line]:
    """The lines behind step `after`, at most `most`, evenly chosen, the first and the last among them."""
    try:
        if path.stat().st_size > READ_WHOLE:
            lines = list(_sampled(path, 4 * most))
        else:
            lines = _parsed(path.read_bytes())
    except OSError:
        return []
    return thinned([line for line in lines if line["step"] > after], most)


def last(path: Path) -> Line | None:
    """The newest line; None when there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LAST_BYTES))
            lines = _parsed(file.read())
    except OSError:
        return None
    return lines[-1] if lines else None


def thinned(lines: Sequence[Line], most: int = MOST_POINTS) -> list[Line]:
    """
    >>> [line["step"] for line in thinned([{"step": step} for step in range(1, 101)], 4)]
    [1, 34, 67, 100]
    """
    if len(lines) <= most:
        return list(lines)
    end = len(lines) - 1
    return [lines[round(end * at / (most - 1))] for at in range(most)]


class Follower:
    """Reads what has come since the last look. A log that was cut (a run that went back to its checkpoint) begins anew."""

    def __init__(self, path: Path, after: int = 0) -> None:
        self._path, self._after = path, after
        self._offset, self._file = 0, 0

    def read(self) -> tuple[int, list[Line]]:
        """(k, lines): what was told behind step k holds no more, these lines come in its place."""
        try:
            found = self._path.stat()
            if found.st_ino != self._file or found.st_size < self._offset:
                return self._begin(found.st_ino)
            if found.st_size == self._offset:
                return self._after, []
            return self._further()
        except OSError:
            return self._after, []

    def _begin(self, file: int) -> tuple[int, list[Line]]:
        after = 0 if self._file else self._after
        self._file, self._offset = file, self._whole_lines()
        lines = numbers(self._path, after)
        self._after = lines[-1]["step"] if lines else after
        return after, lines

    def _further(self) -> tuple[int, list[Line]]:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            content = file.read(READ_WHOLE)
        content = content[: content.rfind(b"\n") + 1]
        after, lines = self._after, [line for line in _parsed(content) if line["step"] > self._after]
        self._offset += len(content)
        self._after = lines[-1]["step"] if lines else after
        return after, thinned(lines)

    def _whole_lines(self) -> int:
        """Up to where the file has whole lines."""
        with self._path.open("rb") as file:
            size = file.seek(0, 2)
            start = max(0, size - LAST_BYTES)
            file.seek(start)
            return start + file.read().rfind(b"\n") + 1


def _sampled(path: Path, many: int) -> Iterator[Line]:
    """About `many` lines at even distances, and the last."""
    step = 0
    with path.open("rb") as file:
        size = file.seek(0, 2)
        for at in range(many):
            file.seek(size * at // many)
            if at:
                file.readline(LONGEST_LINE)
            for line in _parsed(file.readline(LONGEST_LINE)):
                if line["step"] > step:
                    step = line["step"]
                    yield line
    newest = last(path)
    if newest and newest["step"] > step:
        yield newest


def _parsed(content: bytes) -> list[Line]:
    """The lines that are whole; a line that is being written, or was when the power went, is left out."""
    found: list[Line] = []
    for line in content.splitlines():
        try:
            one = json.loads(line)
            if isinstance(one, dict) and isinstance(one["step"], int):
                found.append(one)  # pyright: ignore[reportUnknownArgumentType]
        except (ValueError, KeyError, RecursionError):
            continue
    return found
