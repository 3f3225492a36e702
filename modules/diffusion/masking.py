"""Parts of a picture kept while others are painted: Avrahami et al. 2022, arXiv:2206.02779 (blended latent diffusion)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from modules.core.extension_points import Denoise
from modules.diffusion.guided import apart


@dataclass(frozen=True, kw_only=True)
class SoftMask:
    """How much a half-masked place is painted depends on the noise level: mask ** (scale * sigma ** power).

    `detail`: the exponent of the mean by which magnitudes are kept; the higher, the more contrast survives the mixing.
    """

    power: float = 1.0
    scale: float = 0.5
    detail: float = 4.0

    def at(self, mask: Tensor, sigma: float) -> Tensor:
        """The mask (b, 1, h, w) to use at this level; at level 0 every place that is masked at all is painted."""
        return mask ** (self.scale * sigma**self.power)

    def mixed(self, kept: Tensor, painted: Tensor, mask: Tensor) -> Tensor:
        """A linear mixture of latents with the length that a power mean of both lengths has: mixing must not grey out."""
        mixture = kept * (1 - mask) + painted * mask
        lengths = [latents.norm(dim=1, keepdim=True) for latents in (kept, painted)]
        wanted = (lengths[0] ** self.detail * (1 - mask) + lengths[1] ** self.detail * mask) ** (1 / self.detail)
        return mixture * (wanted / mixture.norm(dim=1, keepdim=True).clamp_min(1e-6))


@dataclass(frozen=True, kw_only=True, eq=False)
class Blend:
    """`original`: clean latents (b, c, h, w). `mask`: (b, 1, h, w), 1 is painted and 0 kept."""

    original: Tensor
    mask: Tensor
    soft: SoftMask | None = None

    def __call__(self, latents: Tensor, sigma: float, noise: Tensor | None = None) -> Tensor:
        """The latents, the original where nothing is painted; with `noise`, that at level `sigma`."""
        kept = self.original if noise is None else self.original + sigma * noise
        if self.soft is None:
            return torch.lerp(kept, latents, self.mask)
        return self.soft.mixed(kept, latents, self.soft.at(self.mask, sigma))


class MaskedAfter:
    """A `Denoise` whose estimate is blended: what samplers of the variance-exploding kind get."""

    def __init__(self, denoise: Denoise, blend: Blend) -> None:
        self._denoise, self._blend = denoise, blend

    def __call__(self, x: Tensor, sigma: float, /) -> Tensor:
        return self._blend(self._denoise(x, sigma), sigma)

    def apart(self, x: Tensor, sigma: float, part: float, /) -> tuple[Tensor, Tensor]:
        """See `guided.apart`."""
        guided, uncond = apart(self._denoise, x, sigma, part)
        return self._blend(guided, sigma), self._blend(uncond, sigma)


class MaskedBefore:
    """A `Denoise` whose input is blended, with the original at the level of the call: for samplers with levels of their own."""

    def __init__(self, denoise: Denoise, blend: Blend, noise: Tensor) -> None:
        self._denoise, self._blend, self._noise = denoise, blend, noise

    def __call__(self, x: Tensor, sigma: float, /) -> Tensor:
        return self._denoise(self._blend(x, sigma, self._noise), sigma)

    def apart(self, x: Tensor, sigma: float, part: float, /) -> tuple[Tensor, Tensor]:
        """See `guided.apart`."""
        return apart(self._denoise, self._blend(x, sigma, self._noise), sigma, part)
