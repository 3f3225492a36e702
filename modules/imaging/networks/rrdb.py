"""RRDBNet, the generator of ESRGAN: Wang et al. 2018, arXiv:1809.00219, §3.1; with pixel unshuffling in front as in
Real-ESRGAN: Wang et al. 2021, arXiv:2107.10833, §3.2.

Three layouts of its files are in use: of the paper's first code (`model.1.sub.0.RDB1…`), of its second (`RRDB_trunk…`,
also BSRGAN) and of BasicSR (`body.0.rdb1…`, Real-ESRGAN).
"""

import re
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pad, pixel_unshuffle

RESIDUAL = 0.2  # beta in the paper, figure 4
SLOPE = 0.2  # of the leaky rectifiers
BLOCK = r"\.(\d+)\.(?:RDB|rdb)(\d)\.conv(\d)(?:\.0)?\."
RULES: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (rf"(?:body|RRDB_trunk|model\.1\.sub){BLOCK}", lambda m: f"blocks.{m[1]}.{int(m[2]) - 1}.convs.{int(m[3]) - 1}."),
    (r"model\.1\.sub\.\d+\.", lambda m: "trunk."),
    (r"(?:conv_body|trunk_conv)\.", lambda m: "trunk."),
    (r"(?:conv_first|model\.0)\.", lambda m: "first."),
    (r"(?:conv_up|upconv)(\d)\.", lambda m: f"ups.{int(m[1]) - 1}."),
    (r"(?:conv_hr|HRconv)\.", lambda m: "hr."),
    (r"conv_last\.", lambda m: "last."),
)


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees what all before it have found."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        inputs = [width + n * growth for n in range(5)]
        self.convs = nn.ModuleList(nn.Conv2d(n, growth if n != inputs[-1] else width, 3, 1, 1) for n in inputs)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> the same shape."""
        found = [x]
        for conv in list(self.convs)[:-1]:
            found.append(leaky_relu(conv(torch.cat(found, 1)), SLOPE))
        return x + RESIDUAL * self.convs[-1](torch.cat(found, 1))


class Block(nn.Sequential):
    """Three dense blocks with a way around them: the residual in residual dense block."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> the same shape."""
        return x + RESIDUAL * super().forward(x)


class RRDBNet(nn.Module):
    """(b, 3, h, w) of 0 to 1 -> (b, 3, h · scale, w · scale)."""

    def __init__(self, *, channels: int, width: int, growth: int, blocks: int, ups: int) -> None:
        super().__init__()
        self.unshuffle = {3: 1, 12: 2, 48: 4}[channels]
        self.scale = 2**ups // self.unshuffle
        self.first = nn.Conv2d(channels, width, 3, 1, 1)
        self.blocks = nn.Sequential(*(Block(*(DenseBlock(width, growth) for _ in range(3))) for _ in range(blocks)))
        self.trunk = nn.Conv2d(width, width, 3, 1, 1)
        self.ups = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(ups))
        self.hr = nn.Conv2d(width, width, 3, 1, 1)
        self.last = nn.Conv2d(width, 3, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        height, width = x.shape[-2:]
        if self.unshuffle > 1:
            short = (-width % self.unshuffle, -height % self.unshuffle)
            x = pixel_unshuffle(pad(x, (0, short[0], 0, short[1]), mode="replicate"), self.unshuffle)
        x = self.first(x)
        x = x + self.trunk(self.blocks(x))
        for up in self.ups:
            x = leaky_relu(up(interpolate(x, scale_factor=2, mode="nearest")), SLOPE)
        x = self.last(leaky_relu(self.hr(x), SLOPE))
        return x[..., : height * self.scale, : width * self.scale]


def rrdb(state: Mapping[str, Tensor]) -> RRDBNet | None:
    """The network of a file in any of the three layouts; None when it is another one."""
    tensors = _renamed(state)
    count = 1 + max((int(name.split(".")[1]) for name in tensors if name.startswith("blocks.")), default=-1)
    needed = {"first.weight", "blocks.0.0.convs.0.weight", "hr.weight", "last.weight"}
    if not count or not needed <= tensors.keys() or tensors["first.weight"].shape[1] not in (3, 12, 48):
        return None
    net = RRDBNet(
        channels=tensors["first.weight"].shape[1],
        width=tensors["first.weight"].shape[0],
        growth=tensors["blocks.0.0.convs.0.weight"].shape[0],
        blocks=count,
        ups=len({name.split(".")[1] for name in tensors if name.startswith("ups.")}),
    )
    wanted = {name: tensor.shape for name, tensor in net.state_dict().items()}
    if {name: tensor.shape for name, tensor in tensors.items()} != wanted:
        return None
    net.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return net.eval().requires_grad_(False)


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    tails = _tails(state)
    return {_ours(name, tails): tensor for name, tensor in state.items()}


def _ours(name: str, tails: Mapping[str, str]) -> str:
    for pattern, ours in RULES:
        if found := re.match(pattern, name):
            return ours(found) + name[found.end() :]
    head, _, end = name.rpartition(".")
    return f"{tails[head]}.{end}" if head in tails else name


def _tails(names: Iterable[str]) -> dict[str, str]:
    """The oldest layout counts its last layers: those that double the size, then two more."""
    numbers = sorted({int(m[1]) for name in names if (m := re.fullmatch(r"model\.(\d+)\.(?:weight|bias)", name))} - {0})
    heads = [f"model.{number}" for number in numbers]
    ours = [*(f"ups.{n}" for n in range(len(heads) - 2)), "hr", "last"]
    return dict(zip(heads, ours, strict=False)) if len(heads) >= 2 else {}
