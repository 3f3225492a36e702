"""One model for the first denoiser calls, another for the rest: SDXL's refiner, Podell et al. 2023, arXiv:2307.01952, §2.5."""

from collections.abc import Callable

from torch import Tensor

from modules.core.extension_points import Denoise
from modules.diffusion.guided import apart


class Relay:
    """A `Denoise` that is `first` for `after` calls, and then what `then()` answers; that is asked when it is needed."""

    def __init__(self, first: Denoise, then: Callable[[], Denoise], after: int) -> None:
        self._current: Denoise = first
        self._then, self._left = then, after

    def __call__(self, x: Tensor, sigma: float, /) -> Tensor:
        return self._next()(x, sigma)

    def apart(self, x: Tensor, sigma: float, part: float, /) -> tuple[Tensor, Tensor]:
        """See `guided.apart`."""
        return apart(self._next(), x, sigma, part)

    def _next(self) -> Denoise:
        if self._left == 0:
            self._current = self._then()
        self._left -= 1
        return self._current
