"""SRVGGNetCompact, the small network of Real-ESRGAN's general and anime models: a plain stack of convolutions that adds
detail to the nearest-pixel enlargement. Wang et al. 2021, arXiv:2107.10833 (the authors' later release)."""

import re
from collections.abc import Mapping
from math import isqrt

from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle

LAYER = re.compile(r"body\.(\d+)\.(?:weight|bias)")


class Compact(nn.Module):
    """(b, 3, h, w) of 0 to 1 -> (b, 3, h · scale, w · scale)."""

    def __init__(self, *, width: int, layers: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        body: list[nn.Module] = []
        for inputs in (3, *[width] * (layers - 2)):
            body += [nn.Conv2d(inputs, width, 3, 1, 1), nn.PReLU(width)]
        self.body = nn.Sequential(*body, nn.Conv2d(width, 3 * scale**2, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return pixel_shuffle(self.body(x), self.scale) + interpolate(x, scale_factor=self.scale, mode="nearest")


def compact(state: Mapping[str, Tensor]) -> Compact | None:
    """The network of a file; None when it is another one."""
    numbers = {int(found[1]) for name in state if (found := LAYER.fullmatch(name))}
    if len(numbers) < 3 or f"body.{max(numbers)}.weight" not in state or "body.0.weight" not in state:
        return None
    width, scale = state["body.0.weight"].shape[0], isqrt(state[f"body.{max(numbers)}.weight"].shape[0] // 3)
    net = Compact(width=width, layers=(max(numbers) + 2) // 2, scale=max(1, scale))
    if {name: t.shape for name, t in state.items()} != {name: t.shape for name, t in net.state_dict().items()}:
        return None
    net.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return net.eval().requires_grad_(False)
