"""The drawn training pictures, kept on disk so that every stage reads the same ones without drawing them again."""

import logging
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from modules.starter.loop import save_atomically
from modules.starter.world import Spec, Vocabulary, draw, random_spec

log = logging.getLogger(__name__)

Bytes = NDArray[np.uint8]
CHUNK = 500


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Which pictures are drawn. seed: of the whole gallery; picture n depends on it and on n only."""

    words: Vocabulary
    count: int
    size: int
    seed: int = 1

    def spec(self, number: int) -> Spec:
        return random_spec(Random(f"gallery {self.seed} {number}"), self.words)

    def picture(self, number: int) -> Bytes:
        """(size, size, 3), 0 to 255."""
        return np.asarray(self._drawn(number)[0])

    def worn(self, number: int, side: int) -> Bytes:
        """How much of each of `side` x `side` fields shows what is worn, 0 to 255."""
        if not self.spec(number).wear:
            return np.zeros((side, side), np.uint8)
        return np.asarray(self._drawn(number)[1]["wear"].resize((side, side), Image.Resampling.BOX))

    def _drawn(self, number: int) -> tuple[Image.Image, dict[str, Image.Image]]:
        return draw(self.spec(number), self.seed * 1_000_000 + number, self.size)


def _draw_chunk(gallery: Gallery, first: int) -> Bytes:
    return np.stack([gallery.picture(n) for n in range(first, min(first + CHUNK, gallery.count))])


def open_pictures(gallery: Gallery, folder: Path, workers: int) -> Bytes:
    """All pictures of the gallery, drawn now unless they are on disk.  Returns (count, size, size, 3); what is written to it is not kept."""
    path = folder / f"pictures-{gallery.count}-{gallery.size}-{gallery.seed}.npy"
    if not path.exists():
        _draw_all(gallery, path, workers)
    return np.load(path, mmap_mode="c")


def open_worn(gallery: Gallery, count: int, side: int, folder: Path, workers: int) -> Tensor:
    """How much of each latent of the first pictures shows what is worn, 0 to 255, (count, side, side)."""
    path = folder / f"worn-{count}-{side}-{gallery.seed}.pt"
    if not path.exists():
        log.info("worn: where %d pictures show what is worn", count)
        starts = range(0, count, CHUNK)
        with ProcessPoolExecutor(workers) as pool:
            found = pool.map(_worn_chunk, *zip(*[(gallery, first, count, side) for first in starts], strict=True))
            save_atomically({"worn": torch.from_numpy(np.concatenate(list(found)))}, path)
    return torch.load(path, weights_only=True)["worn"]


def _worn_chunk(gallery: Gallery, first: int, count: int, side: int) -> Bytes:
    return np.stack([gallery.worn(n, side) for n in range(first, min(first + CHUNK, count))])


def cut(pictures: Tensor, number: Tensor, y: Tensor, x: Tensor, side: int) -> Tensor:
    """Squares of some pictures.  pictures: (n, h, w, c); number, y, x: (b,).  Returns (b, side, side, c)."""
    along = torch.arange(side, device=pictures.device)
    return pictures[number[:, None, None], (y[:, None] + along)[:, :, None], (x[:, None] + along)[:, None, :]]


def _draw_all(gallery: Gallery, path: Path, workers: int) -> None:
    unfinished = path.with_suffix(".unfinished")
    shape = (gallery.count, gallery.size, gallery.size, 3)
    target = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
    starts = range(0, gallery.count, CHUNK)
    with ProcessPoolExecutor(workers) as pool:
        for first, chunk in zip(starts, pool.map(_draw_chunk, [gallery] * len(starts), starts), strict=True):
            target[first : first + len(chunk)] = chunk
            log.info("pictures: %d of %d drawn", first + len(chunk), gallery.count)
    target.flush()
    unfinished.replace(path)
