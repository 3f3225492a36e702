"""One file from the net into a part on the disk: goes on where it broke off, and is checked before anybody uses it."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modules.core.errors import InvalidModelFile, StorageFailed
from modules.core.tensorfile import read_header
from modules.services.fetch_net import Answer, Net, Unreachable, check_status, refused
from modules.services.fetch_sources import Offer
from modules.services.library_hashes import sha256

BLOCK = 1 << 20
SPARE_BYTES = 500 << 20
TRIES = 5  # connections that may break one after the other without a byte having come
PAUSE = 2.0
SETTLING = 0.5  # seconds until a rate means something


@dataclass(kw_only=True)
class Transfer:
    """Fetches `offer` into `part`. `go_on()` raises to stop; `came(bytes there, bytes a second)` hears the progress."""

    net: Net
    offer: Offer
    part: Path
    token: str
    go_on: Callable[[], None]
    came: Callable[[int, float], None]
    mark: str = ""  # the server's ETag of the file whose part this is

    def run(self) -> None:
        """Until the part is as long as the file, however often the connection breaks, as long as something comes.

        Raises Unreachable, InvalidRequest, StorageFailed, and what `go_on` raises.
        """
        self.part.parent.mkdir(parents=True, exist_ok=True)
        left = TRIES
        while (have := length_of(self.part)) != self.offer.size:
            self.go_on()
            if have > self.offer.size:
                self.part.unlink()
                continue
            check_room(self.part.parent, self.offer.size - have)
            try:
                self._receive(have)
            except Unreachable:
                left = TRIES if length_of(self.part) > have else left - 1
                if not left:
                    raise
                time.sleep(PAUSE)

    def _receive(self, have: int) -> None:
        headers = {"Range": f"bytes={have}-", **({"If-Range": self.mark} if self.mark else {})} if have else {}
        with self.net.open(self.offer.url, token=self.token, headers=headers) as answer:
            if answer.status == 416:  # it is another file by now
                self.part.unlink()
                return
            check_status(answer)
            start = _start_of(answer, self.offer.size, have)
            mark = answer.headers.get("etag", "")
            self.mark = "" if mark.startswith("W/") else mark
            self._store(answer, start)

    def _store(self, answer: Answer, start: int) -> None:
        began, at = time.monotonic(), start
        with self.part.open("r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
            while at < self.offer.size and (block := answer.read(min(BLOCK, self.offer.size - at))):
                self.go_on()
                file.write(block)
                at += len(block)
                seconds = time.monotonic() - began
                self.came(at, (at - start) / seconds if seconds > SETTLING else 0.0)
            file.flush()
            os.fsync(file.fileno())
        if at < self.offer.size:
            raise Unreachable("The connection broke off before the whole file was there; resume to go on.")

    def check(self, name: str, stopped: Callable[[], bool]) -> None:
        """Raise InvalidModelFile, and remove the part, when it is not what was announced. `name`: for the message."""
        wanted = self.offer.sha256
        found = sha256(self.part, stopped) if wanted else ""
        self.go_on()
        try:
            if found != wanted:
                raise InvalidModelFile(
                    f"The file that came is not the one announced: its SHA-256 begins with {found[:10]}, "
                    f"not {wanted[:10]}. It was removed; try again, or ask where you have the address from."
                )
            if name.casefold().endswith(".safetensors"):
                _check_header(self.part, name)
        except InvalidModelFile:
            self.part.unlink(missing_ok=True)
            raise


def check_room(folder: Path, wanted: int) -> None:
    """Raise StorageFailed when so many bytes more would fill the disk."""
    there = next(one for one in (folder, *folder.parents) if one.is_dir())
    free = shutil.disk_usage(there).free
    if free < wanted + SPARE_BYTES:
        raise StorageFailed(
            f"The disk is too full: the file needs {wanted >> 20:,} MB and {free >> 20:,} are free; make room, resume."
        )


def length_of(path: Path) -> int:
    """In bytes; 0 for a file that is not there."""
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _start_of(answer: Answer, size: int, have: int) -> int:
    """At which byte of the file an answer begins. Raises InvalidRequest when it is a file of another size."""
    if answer.status != 206:
        if answer.headers.get("content-length") != str(size):
            raise refused(f"The server now offers a file of another size than the {size:,} bytes announced.")
        return 0
    if answer.headers.get("content-range", "").replace(" ", "") != f"bytes{have}-{size - 1}/{size}":
        raise refused("The server answers with another part of the file than asked for; cancel, and start anew.")
    return have


def _check_header(part: Path, name: str) -> None:
    try:
        read_header(part)
    except InvalidModelFile as error:
        raise InvalidModelFile(f"What came is no sound model file: {str(error).replace(part.name, name)}") from error
