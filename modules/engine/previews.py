"""The picture while it forms: a linear map of the latents, or decoded. Packing it is another thread's work."""

import threading
import time
from collections.abc import Callable
from queue import Empty, Queue

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from modules.engine.decode import bytes_of
from modules.engine.models import Loaded
from modules.families.colours import coloured
from modules.imaging.grid import grid
from modules.imaging.metadata import preview_jpeg

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
LONGEST = 512
SECONDS_BETWEEN = 0.1  # more would cost a fast model more than a hundredth of its time, and nobody sees it


def frame(denoised: Tensor, loaded: Loaded, way: str) -> tuple[Pixels, int]:
    """A frame of latents (b, c, h, w) for `Previews.show`: (b, H, W, 3) bytes, and how many times as large to show it.

    `way`: as `RunJob.preview`. What cannot be decoded (numbers that are not finite) is shown by its colours.
    """
    built = loaded.built
    if way in ("Full", "Approx NN"):
        latents = denoised if way == "Full" else avg_pool2d(denoised, 2, ceil_mode=True)
        pixels = torch.cat([built.decode(one) for one in latents.split(1)])
        if torch.isfinite(pixels).all():
            return bytes_of(pixels).numpy(), denoised.shape[-1] // latents.shape[-1]
    return coloured(denoised, loaded.colours).numpy(), built.downscale


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
