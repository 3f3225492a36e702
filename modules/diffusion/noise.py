"""Seeded noise: each picture of a batch draws from a generator of its own."""

import math
import struct
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from modules.core.errors import UnknownName
from modules.diffusion.brownian import BrownianTree
from modules.diffusion.philox import PhiloxGenerator

SOURCES = ("CPU", "NV", "GPU")
SAME_DIRECTION = 0.9995

Shape = tuple[int, int, int]


class Generator(Protocol):
    """A stream of unit normal numbers."""

    def randn(self, shape: Shape) -> Tensor: ...


class TorchGenerator:
    """torch's own numbers on a device."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._generator = torch.Generator(device).manual_seed(seed)

    def randn(self, shape: Shape) -> Tensor:
        """(c, h, w), float32, on the device."""
        return torch.randn(shape, generator=self._generator, device=self._generator.device)


class Noise:
    """Unit normal noise for a batch: call it for the starting noise, then for every draw a sampler makes.

    seeds: one per picture.  shape: (c, h, w) of one picture.  A call returns (b, c, h, w), float32, on `device`.
    Picture i gets what it would get alone, whatever stands beside it.
    source: "CPU" and "NV" give the same numbers on every machine, "GPU" are the device's own.
    subseeds, strength: the starting noise is moved from the seed's towards the variation seed's by `strength`, 0 to 1.
    resize_from: (h, w) of latents; the starting noise is that of this size, put into the middle of the real size.
    ensd: added to the seeds after the starting noise.  Raises UnknownName for another source.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        shape: Shape,
        source: str = "CPU",
        device: torch.device | str = "cpu",
        *,
        subseeds: Sequence[int] = (),
        strength: float = 0.0,
        resize_from: tuple[int, int] | None = None,
        ensd: int = 0,
    ) -> None:
        if source not in SOURCES:
            raise UnknownName("source of random numbers", source, " or ".join(SOURCES))
        self._source, self._device = source, torch.device(device)
        self._seeds, self._shape, self._ensd = seeds, shape, ensd
        self._subseeds = subseeds if strength != 0 else ()
        self._strength = strength
        self._drawn_at: Shape = (shape[0], *resize_from) if resize_from else shape
        self._generators = [self._generator(seed) for seed in seeds]
        self._begun = False

    def __call__(self) -> Tensor:
        draw = self._next if self._begun else self._first
        drawn = [draw(picture) for picture in range(len(self._seeds))]
        if not self._begun and self._ensd:
            self._generators = [self._generator(seed + self._ensd) for seed in self._seeds]
        self._begun = True
        return self._gathered(drawn)

    def brownian(self, sigmas: Sequence[float]) -> Callable[[float, float], Tensor]:
        """(sigma, sigma_next) -> (b, c, h, w): how far each picture's Brownian path goes between two levels, at unit variance.

        The path lies between the lowest level above 0 and the highest.
        """
        levels = [_single(sigma) for sigma in sigmas if sigma > 0]
        lowest, highest = min(levels), max(levels)
        trees = [BrownianTree(lowest, highest, seed, self._leaf) for seed in self._seeds]

        def between(sigma: float, sigma_next: float) -> Tensor:
            sigma, sigma_next = _single(sigma), _single(sigma_next)
            low, high = min(sigma, sigma_next), max(sigma, sigma_next)
            scale = (1 if sigma < sigma_next else -1) / math.sqrt(high - low)
            return self._gathered([tree(low, high) * scale for tree in trees])

        return between

    def _generator(self, seed: int) -> Generator:
        if self._source == "NV":
            return PhiloxGenerator(seed)
        return TorchGenerator(seed, self._device if self._source == "GPU" else torch.device("cpu"))

    def _leaf(self, seed: int) -> Tensor:
        return self._generator(seed).randn(self._shape)

    def _next(self, picture: int) -> Tensor:
        return self._generators[picture].randn(self._shape)

    def _first(self, picture: int) -> Tensor:
        """The starting noise (c, h, w) of one picture."""
        resized = self._drawn_at != self._shape
        noise = self._other(self._seeds[picture]) if resized else self._next(picture)
        if self._subseeds:
            noise = slerp(self._strength, noise, self._other(self._subseeds[picture]))
        return pasted(noise, self._next(picture)) if resized else noise

    def _other(self, seed: int) -> Tensor:
        return self._generator(seed).randn(self._drawn_at)

    def _gathered(self, drawn: Sequence[Tensor]) -> Tensor:
        """Pictures (c, h, w) as a batch on the device."""
        if self._device.type != "cuda" or drawn[0].device.type == "cuda":
            return torch.stack(list(drawn)).to(self._device)
        # From pinned memory the copy to a CUDA device runs beside its work; from other memory the host waits for it.
        batch = torch.empty((len(drawn), *drawn[0].shape), pin_memory=True)
        torch.stack(list(drawn), out=batch)
        return batch.to(self._device, non_blocking=True)


def slerp(part: float, low: Tensor, high: Tensor) -> Tensor:
    """Spherical interpolation of noise (c, h, w), column by column: Shoemake 1985, as the field does it.

    Nearly parallel noises are mixed linearly, and the wrong way round: pictures with variation seeds are made so.
    """
    dot = (low / low.norm(dim=1, keepdim=True) * (high / high.norm(dim=1, keepdim=True))).sum(1)
    if dot.mean() > SAME_DIRECTION:
        return low * part + high * (1 - part)
    angle = torch.acos(dot)
    share = torch.sin(angle)
    first, second = torch.sin((1 - part) * angle) / share, torch.sin(part * angle) / share
    return first.unsqueeze(1) * low + second.unsqueeze(1) * high


def pasted(noise: Tensor, onto: Tensor) -> Tensor:
    """Noise (c, h, w) put into the middle of other noise; what does not fit is cut off, as much on either side."""
    found = onto.clone()
    (from_top, to_top), (from_left, to_left) = (_centred(noise.shape[axis], onto.shape[axis]) for axis in (1, 2))
    found[:, to_top, to_left] = noise[:, from_top, from_left]
    return found


def _centred(length: int, room: int) -> tuple[slice, slice]:
    """Which part of something goes where, in the middle of the room there is."""
    margin = (room - length) // 2
    if margin >= 0:
        return slice(0, length), slice(margin, margin + length)
    return slice(-margin, length + margin), slice(0, length + 2 * margin)


def _single(number: float) -> float:
    """Rounded to float32, which the field keeps its levels in: a path's halves depend on its ends."""
    return struct.unpack("f", struct.pack("f", number))[0]
