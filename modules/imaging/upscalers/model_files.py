"""Upscalers that are files: ESRGAN and Real-ESRGAN by ourselves; SwinIR, DAT and many more through spandrel, if it is there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from modules.core.errors import InvalidModelFile, NotFinite
from modules.core.extension_points import Upscaler
from modules.imaging.networks.compact import compact
from modules.imaging.networks.rrdb import rrdb
from modules.imaging.tiles import OnTile, by_tiles

TILE, OVERLAP = 192, 8  # pixels of the picture that is enlarged
MOST_PASSES = 3  # of a network over its own result, until the picture is large enough
MOST_PIXELS = 400_000_000  # of what a network makes, before it is brought to size
WRAPPERS = ("params_ema", "params", "state_dict", "model")
INSTALL = "pip install spandrel torchvision, into the environment that Atelier runs in"
BROKEN_IMPORTS = (
    ImportError,
    RuntimeError,
    OSError,
    AttributeError,
)  # torchvision of another torch fails in its own ways


@dataclass(frozen=True, kw_only=True)
class Network:
    """(b, 3, h, w) of 0 to 1 -> `scale` times as large."""

    run: Callable[[Tensor], Tensor]
    scale: int
    device: torch.device


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """How large pictures are cut, and who is told after each tile."""

    size: int = TILE
    overlap: int = OVERLAP
    on_tile: OnTile | None = None


def network(name: str, content: Any, device: torch.device) -> Network:
    """The network of an upscaler's file. `content`: what the file holds, read without running code.

    Raises InvalidModelFile: it is no such network, or one that only spandrel knows and spandrel is not there.
    """
    state = state_of(name, content)
    own = rrdb(state) or compact(state)
    if own is not None:
        return Network(run=own.to(device), scale=own.scale, device=device)
    return _by_spandrel(name, state, device)


def model_upscaler(name: str, network: Network, tiles: Tiles = Tiles()) -> Upscaler:
    """An upscaler for the page and for requests, under the file's name."""
    return Upscaler(name=name, run=lambda image, scale: enlarged(image, scale, network, tiles), note="model")


@torch.inference_mode()
def enlarged(image: Image.Image, scale: float, network: Network, tiles: Tiles = Tiles()) -> Image.Image:
    """The RGB picture `scale` times as large; a network that makes larger steps is followed by Lanczos.

    Raises NotFinite, InvalidModelFile, and what `tiles.on_tile` raises.
    """
    wanted = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    for _ in range(passes(image.size, scale, network.scale)):
        values = by_tiles(np.asarray(image), _enlarge(network), network.scale, tiles.size, tiles.overlap, tiles.on_tile)
        image = Image.fromarray(values)
    return image.resize(wanted, Image.Resampling.LANCZOS) if image.size != wanted else image


def passes(size: tuple[int, int], scale: float, step: int) -> int:
    """How often a network that enlarges by `step` is run. Raises InvalidModelFile when its result would be too large."""
    count, factor = 1, step
    while factor < scale and step > 1 and count < MOST_PASSES:
        count, factor = count + 1, factor * step
    if size[0] * size[1] * factor**2 > MOST_PIXELS:
        raise InvalidModelFile(
            f"This model always enlarges by {step}: {size[0]}x{size[1]} would become {size[0] * factor}x"
            f"{size[1] * factor} on the way, which is too large. Take a smaller picture, or Lanczos."
        )
    return count


def state_of(name: str, content: Any) -> dict[str, Tensor]:
    """The tensors by layer, out of what training programs wrap around them. Raises InvalidModelFile."""
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        content = {}
    state = {str(key).removeprefix("module."): value for key, value in content.items() if isinstance(value, Tensor)}
    if not state:
        raise InvalidModelFile(f"{name} is no upscaler: there are no layers in the file.")
    if not all(torch.isfinite(value).all() for value in state.values() if value.is_floating_point()):
        raise InvalidModelFile(f"{name} is damaged: some of its numbers are infinite or not a number.")
    return state


def spandrel_problem() -> str:
    """Why spandrel cannot be used and what to do; "" when it can."""
    try:
        import spandrel  # noqa: F401
    except BROKEN_IMPORTS as error:
        return f"spandrel cannot be used ({str(error)[:200]}); {INSTALL}"
    return ""


def _by_spandrel(name: str, state: Mapping[str, Tensor], device: torch.device) -> Network:
    problem = spandrel_problem()
    if problem:
        raise InvalidModelFile(f"{name} is no ESRGAN or Real-ESRGAN file, and other kinds need spandrel: {problem}.")
    from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError

    try:
        found = ModelLoader(device=device).load_from_state_dict(dict(state))
    except (UnsupportedModelError, RuntimeError, ValueError, KeyError) as error:
        first = next(iter(state))
        raise InvalidModelFile(f"{name} is no upscaler that is known; its first layer is {first[:80]!r}.") from error
    if not isinstance(found, ImageModelDescriptor) or found.input_channels != 3 or found.output_channels != 3:
        raise InvalidModelFile(f"{name} is no upscaler for colour pictures.")
    return Network(run=found.eval(), scale=found.scale, device=device)


def _enlarge(network: Network) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    def enlarge(tile: NDArray[np.uint8]) -> NDArray[np.float32]:
        x = torch.from_numpy(tile.copy()).to(network.device).permute(2, 0, 1)[None].float() / 255
        y = network.run(x)[0].float()
        if not torch.isfinite(y).all():
            raise NotFinite("The upscaler gave numbers that are no colours; its file may be damaged.")
        return (y * 255).permute(1, 2, 0).cpu().numpy()

    return enlarge
