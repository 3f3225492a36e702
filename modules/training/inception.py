"""Inception v3, for whoever has its weights: Szegedy et al. 2015, arXiv:1512.00567, figures 5 to 7 and table 1.

Tensor names are those of the field's files. Two kinds go round: 1008 classes, ported from TensorFlow for FID, and 1000
classes of ImageNet; they differ in how the edges are averaged and in the last block's pooling.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from modules.core.errors import InvalidModelFile
from modules.diffusion.networks.tensors import is_safe, read_pickle, read_tensors
from modules.training.evidence import Deep

SIDE = 299  # pixels
FID_CLASSES = 1008
AT_ONCE = 16  # pictures
ENDINGS = (".safetensors", ".sft", ".pth", ".pt", ".bin")
POOL = "pool"

Link = str | tuple[str, ...]
Pool = Callable[[Tensor], Tensor]
Size = dict[str, Any]


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, before: int, after: int, size: Any, stride: int = 1, padding: Any = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(b, before, h, w) to (b, after, …)."""
        return self.bn(self.conv(x)).relu_()


class Mixed(nn.Module):
    """Chains of layers side by side, joined along the channels; a link of several names is a fork."""

    def __init__(self, layers: Mapping[str, ConvNorm], chains: tuple[tuple[Link, ...], ...], pool: Pool) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._chains, self._pool = chains, pool

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) to (b, sum of the chains, …)."""
        return torch.cat([self._follow(x, chain) for chain in self._chains], dim=1)

    def _follow(self, x: Tensor, chain: tuple[Link, ...]) -> Tensor:
        for link in chain:
            if isinstance(link, tuple):
                x = torch.cat([self.get_submodule(name)(x) for name in link], dim=1)
            else:
                x = self._pool(x) if link == POOL else self.get_submodule(link)(x)
        return x


class Inception(nn.Module):
    """The whole network."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        ported = classes == FID_CLASSES
        average = partial(avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=not ported)
        last = partial(max_pool2d, kernel_size=3, stride=1, padding=1) if ported else average
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, 3)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, 3, 1, 1)
        self.Conv2d_3b_1x1 = ConvNorm(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3)
        for letter, before, after in zip("bcd", (192, 256, 288), (32, 64, 64), strict=True):
            self.add_module(f"Mixed_5{letter}", _fine(before, after, average))
        self.Mixed_6a = _shrink(288)
        for letter, width in zip("bcde", (128, 160, 160, 192), strict=True):
            self.add_module(f"Mixed_6{letter}", _long(width, average))
        self.Mixed_7a = _shrink_again()
        self.Mixed_7b = _wide(1280, average)
        self.Mixed_7c = _wide(2048, last)
        self.fc = nn.Linear(2048, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images: (b, 3, h, w) of -1 to 1.  Returns features (b, 2048) and logits (b, classes)."""
        x = interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(max_pool2d(x, 3, 2)))
        x = max_pool2d(x, 3, 2)
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
            x = self.get_submodule(f"Mixed_{name}")(x)
        features = x.mean(dim=(2, 3))
        return features, self.fc(features)


# The blocks -------------------------------------------------------------------------------------------------------------


def _fine(before: int, after: int, pool: Pool) -> Mixed:
    """Figure 5: two 3x3 in place of one 5x5."""
    layers = {
        "branch1x1": ConvNorm(before, 64, 1),
        "branch5x5_1": ConvNorm(before, 48, 1),
        "branch5x5_2": ConvNorm(48, 64, 5, 1, 2),
        "branch3x3dbl_1": ConvNorm(before, 64, 1),
        "branch3x3dbl_2": ConvNorm(64, 96, 3, 1, 1),
        "branch3x3dbl_3": ConvNorm(96, 96, 3, 1, 1),
        "branch_pool": ConvNorm(before, after, 1),
    }
    double = ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
    return Mixed(layers, (("branch1x1",), ("branch5x5_1", "branch5x5_2"), double, (POOL, "branch_pool")), pool)


def _shrink(before: int) -> Mixed:
    """Half the side, figure 10."""
    layers = {
        "branch3x3": ConvNorm(before, 384, 3, 2),
        "branch3x3dbl_1": ConvNorm(before, 64, 1),
        "branch3x3dbl_2": ConvNorm(64, 96, 3, 1, 1),
        "branch3x3dbl_3": ConvNorm(96, 96, 3, 2),
    }
    double = ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
    return Mixed(layers, (("branch3x3",), double, (POOL,)), partial(max_pool2d, kernel_size=3, stride=2))


def _long(width: int, pool: Pool) -> Mixed:
    """Figure 6: 7x7 as 1x7 and 7x1."""
    flat: Size = {"size": (1, 7), "padding": (0, 3)}
    tall: Size = {"size": (7, 1), "padding": (3, 0)}
    layers = {
        "branch1x1": ConvNorm(768, 192, 1),
        "branch7x7_1": ConvNorm(768, width, 1),
        "branch7x7_2": ConvNorm(width, width, **flat),
        "branch7x7_3": ConvNorm(width, 192, **tall),
        "branch7x7dbl_1": ConvNorm(768, width, 1),
        "branch7x7dbl_2": ConvNorm(width, width, **tall),
        "branch7x7dbl_3": ConvNorm(width, width, **flat),
        "branch7x7dbl_4": ConvNorm(width, width, **tall),
        "branch7x7dbl_5": ConvNorm(width, 192, **flat),
        "branch_pool": ConvNorm(768, 192, 1),
    }
    once = tuple(f"branch7x7_{n}" for n in (1, 2, 3))
    twice = tuple(f"branch7x7dbl_{n}" for n in (1, 2, 3, 4, 5))
    return Mixed(layers, (("branch1x1",), once, twice, (POOL, "branch_pool")), pool)


def _shrink_again() -> Mixed:
    """Half the side once more."""
    layers = {
        "branch3x3_1": ConvNorm(768, 192, 1),
        "branch3x3_2": ConvNorm(192, 320, 3, 2),
        "branch7x7x3_1": ConvNorm(768, 192, 1),
        "branch7x7x3_2": ConvNorm(192, 192, (1, 7), 1, (0, 3)),
        "branch7x7x3_3": ConvNorm(192, 192, (7, 1), 1, (3, 0)),
        "branch7x7x3_4": ConvNorm(192, 192, 3, 2),
    }
    long = tuple(f"branch7x7x3_{n}" for n in (1, 2, 3, 4))
    pool = partial(max_pool2d, kernel_size=3, stride=2)
    return Mixed(layers, (("branch3x3_1", "branch3x3_2"), long, (POOL,)), pool)


def _wide(before: int, pool: Pool) -> Mixed:
    """Figure 7: forks of 1x3 and 3x1."""
    flat: Size = {"size": (1, 3), "padding": (0, 1)}
    tall: Size = {"size": (3, 1), "padding": (1, 0)}
    layers = {
        "branch1x1": ConvNorm(before, 320, 1),
        "branch3x3_1": ConvNorm(before, 384, 1),
        "branch3x3_2a": ConvNorm(384, 384, **flat),
        "branch3x3_2b": ConvNorm(384, 384, **tall),
        "branch3x3dbl_1": ConvNorm(before, 448, 1),
        "branch3x3dbl_2": ConvNorm(448, 384, 3, 1, 1),
        "branch3x3dbl_3a": ConvNorm(384, 384, **flat),
        "branch3x3dbl_3b": ConvNorm(384, 384, **tall),
        "branch_pool": ConvNorm(before, 192, 1),
    }
    once: tuple[Link, ...] = ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b"))
    twice: tuple[Link, ...] = ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b"))
    return Mixed(layers, (("branch1x1",), once, twice, (POOL, "branch_pool")), pool)


# The file ---------------------------------------------------------------------------------------------------------------


def inception_file(folder: Path) -> Path | None:
    """The first file of weights there, safetensors before others; None when there is none."""
    found = [one for one in folder.glob("*") if one.suffix.lower() in ENDINGS and not one.name.startswith(".")]
    return min(found, key=lambda one: (not is_safe(one), one.name), default=None)


def load_inception(path: Path) -> Deep:
    """An Inception that looks at pictures. No code of the file is run. Raises InvalidModelFile."""
    tensors = read_tensors(path)[1] if is_safe(path) else read_pickle(path)
    weight = tensors.get("fc.weight") if isinstance(tensors, Mapping) else None
    if not isinstance(weight, Tensor) or weight.ndim != 2:
        raise InvalidModelFile(f"{path.name} is no Inception v3: it has no tensor 'fc.weight'; see docs/evaluation.md.")
    with torch.device("meta"):  # no random weights for what is overwritten at once
        network = Inception(len(weight))
    own = {name: value.float() for name, value in tensors.items() if not name.startswith("AuxLogits.")}
    try:
        missing, extra = network.load_state_dict(own, strict=False, assign=True)
    except RuntimeError as error:
        raise InvalidModelFile(f"{path.name} is no Inception v3: {str(error)[:200]}.") from error
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or extra:
        raise InvalidModelFile(f"{path.name} is no Inception v3 of the usual layout: {(missing + extra)[0]}.")
    network.eval().requires_grad_(False)

    def see(images: Tensor) -> tuple[Tensor, Tensor]:
        parts = [network(part.float()) for part in images.split(AT_ONCE)]
        return torch.cat([one for one, _ in parts]), torch.cat([one for _, one in parts])

    return Deep(name=f"Inception v3 ({len(weight)} classes, {path.name})", see=see)
