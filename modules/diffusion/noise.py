"""Seeded noise: each picture of a batch draws from a generator of its own."""

from collections.abc import Sequence

import torch
from torch import Tensor

from modules.core.errors import UnknownName


class Noise:
    """Unit normal noise for a batch: call it for the starting noise, then for every draw a sampler makes.

    seeds: one per picture.  shape: (c, h, w) of one picture.  A call returns (b, c, h, w), float32, on `device`.
    Picture i gets what it would get alone, whatever stands beside it. The numbers are drawn on the CPU, so that a
    seed gives the same picture on every device.  Raises UnknownName for a `source` other than "CPU".
    """

    def __init__(
        self,
        seeds: Sequence[int],
        shape: tuple[int, int, int],
        source: str = "CPU",
        device: torch.device | str = "cpu",
    ) -> None:
        if source != "CPU":
            raise UnknownName("source of random numbers", source, "CPU")
        self._generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        self._shape = shape
        self._device = torch.device(device)

    def __call__(self) -> Tensor:
        # From pinned memory the copy to a CUDA device runs beside its work; from other memory the host waits for it.
        pinned = self._device.type == "cuda"
        drawn = torch.empty((len(self._generators), *self._shape), pin_memory=pinned)
        for generator, picture in zip(self._generators, drawn, strict=True):
            torch.randn(self._shape, generator=generator, out=picture)
        return drawn.to(self._device, non_blocking=pinned)
