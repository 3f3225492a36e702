"""Small copies of pictures that lie about on the disk: made once, one at a time, from files that nobody vouches for."""

import re
import threading
from collections.abc import Callable
from pathlib import Path

from modules.core.files import write_atomically
from modules.imaging.metadata import open_picture, png_bytes, preview_jpeg

LONGEST = 512
MOST_PIXELS = 40_000_000
NAME = re.compile(r"[\w-]{1,100}", re.ASCII)


class Thumbnails:
    """Kept in a folder under names that the caller makes: another picture, another name. Safe from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._one_decoder = threading.Lock()

    def of(self, name: str, content: Callable[[], bytes]) -> bytes:
        """A JPEG; `content` answers the picture when there is none yet. Raises InvalidImage, StorageFailed."""
        assert NAME.fullmatch(name), name
        path = self._folder / f"{name}.jpg"
        if path.is_file():
            return path.read_bytes()
        with self._one_decoder:
            small = preview_jpeg(open_picture(content(), MOST_PIXELS), LONGEST)
        write_atomically(path, small)
        return small


def png_of(content: bytes) -> bytes:
    """A picture as PNG, at most 1024 pixels long. Raises InvalidImage."""
    picture = open_picture(content, MOST_PIXELS)
    picture.thumbnail((1024, 1024))
    return png_bytes(picture.convert("RGB"), "")
