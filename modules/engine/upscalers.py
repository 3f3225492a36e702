"""Find what makes pictures larger by name: what plugins registered, then files. One file's network is kept in memory."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

from modules.core.errors import UnknownName
from modules.core.events import RunJob
from modules.core.extension_points import Upscaler
from modules.core.named import Names, closest, folded
from modules.core.requests import FileRecord
from modules.diffusion.networks.tensors import is_safe, read_pickle, read_tensors
from modules.engine.job import JobContext
from modules.imaging.upscalers.model_files import OVERLAP, TILE, Network, Tiles, model_upscaler, network

OnTile = Callable[[int, int], None]


def find_upscaler(
    name: str, context: JobContext, on_tile: OnTile | None = None, *, tile: int = TILE, overlap: int = OVERLAP
) -> Upscaler:
    """The upscaler called `name`; "" is None. `on_tile(done, of)` is called while a model works, and may raise.

    Raises UnknownName; InvalidModelFile for a file that cannot be used, with the reason.
    """
    plugins: Names[Upscaler] = context.plugins.collect("register_upscalers")
    files = {folded(one.name): one for one in upscaler_files(context.job)}
    try:
        return plugins.find(name or "None")
    except UnknownName as error:
        record = files.get(folded(name))
        if record is None:
            raise UnknownName("upscaler", name, closest(name, [*plugins, *files])) from error
    found = _loaded(record.path, record.modified, record.size, context.models.device)
    return model_upscaler(record.name, found, Tiles(size=tile, overlap=min(overlap, tile // 2), on_tile=on_tile))


def upscaler_files(job: RunJob) -> tuple[FileRecord, ...]:
    """The upscalers among a job's files."""
    return tuple(one for one in job.files if one.kind == "upscaler")


def forget() -> None:
    """Give the memory of the kept network back."""
    _loaded.cache_clear()


@lru_cache(maxsize=2)  # two can be blended
def _loaded(path: str, modified: int, size: int, device: torch.device) -> Network:
    """`modified` and `size` are there so that a file that was replaced is read again."""
    file = Path(path)
    content = read_tensors(file)[1] if is_safe(file) else read_pickle(file)
    return network(file.name, content, device)
