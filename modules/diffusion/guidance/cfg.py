"""Classifier-free guidance: Ho and Salimans 2022, arXiv:2207.12598, eq. 6, on the denoised estimate."""

from torch import Tensor

from modules.core.extension_points import Guidance, hookimpl


def cfg(cond: Tensor, uncond: Tensor, scale: float) -> Tensor:
    return uncond + scale * (cond - uncond)


@hookimpl
def register_guidance() -> list[Guidance]:
    return [Guidance(name="CFG", combine=cfg, aliases=("classifier-free",))]
