"""The picture while it forms. Its colours are a linear map of the latents; packing it is another thread's work."""

import threading
import time
from collections.abc import Callable
from queue import Empty, Queue

import numpy as np
from PIL import Image

from modules.imaging.grid import grid
from modules.imaging.metadata import preview_jpeg

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
LONGEST = 512
SECONDS_BETWEEN = 0.1  # more would cost a fast model more than a hundredth of its time, and nobody sees it


class Previews:
    """Packs the newest frame and drops older ones, so that sampling never waits for it.

    `send(jpeg)` is called from a thread of this object's own, which lives until `close`.
    """

    def __init__(self, send: Callable[[bytes], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._send, self._clock = send, clock
        self._shown = -SECONDS_BETWEEN
        self._frames: Queue[tuple[Pixels, int] | None] = Queue()
        self._thread = threading.Thread(target=self._work, name="previews", daemon=True)
        self._thread.start()

    @property
    def wanted(self) -> bool:
        """Whether a frame would be shown now: none is waiting, and the last one is not too young."""
        return self._frames.empty() and self._clock() - self._shown >= SECONDS_BETWEEN

    def show(self, pixels: Pixels, scale: int) -> None:
        """A frame of a batch: (b, h, w, 3) bytes, to be shown `scale` times as large."""
        self._shown = self._clock()
        self._frames.put((pixels, scale))

    def close(self) -> None:
        """Finish what was begun; nothing is sent after this."""
        self._frames.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (frame := self._newest()) is not None:
            self._send(packed(*frame))

    def _newest(self) -> tuple[Pixels, int] | None:
        frame = self._frames.get()
        while frame is not None:
            try:
                frame = self._frames.get_nowait()
            except Empty:
                return frame
        return None


def packed(pixels: Pixels, scale: int) -> bytes:
    """A frame as a JPEG: the pictures of a batch side by side, at most `LONGEST` pixels wide and high."""
    pictures = [Image.fromarray(one) for one in pixels]
    picture = pictures[0] if len(pictures) == 1 else grid(pictures)
    enlarged = min(float(scale), LONGEST / max(picture.size))
    size = (round(picture.width * enlarged), round(picture.height * enlarged))
    return preview_jpeg(picture.resize(size, Image.Resampling.BICUBIC), LONGEST)
