"""When a device has not enough memory: the same pictures, drawn with less of it. See reliability: smaller, split, tiled."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch

from modules.core.errors import OutOfMemory
from modules.core.requests import ImageRequest
from modules.engine.memory import give_back, is_out_of_memory

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Thrift:
    """`together`: pictures at a time. `split`: with and without the prompt one after the other. `note`: for the page.

    `frugal`: attention in pieces, which is slower and needs memory in proportion to the picture, not to its square.
    """

    together: int
    split: bool = False
    frugal: bool = False
    note: str = ""


def ladder(request: ImageRequest, alone: bool = False) -> Iterator[Thrift]:
    """Ways to draw a batch, each needing less memory than the one before. None changes what is drawn.

    `alone`: the sampler wants one picture at a time.
    """
    size = 1 if alone else request.batch_size
    yield Thrift(together=size)
    while size > 1:
        size = (size + 1) // 2
        yield Thrift(together=size, note=f"Memory was short; the pictures were drawn {size} at a time.")
    if request.cfg_scale != 1:
        yield Thrift(together=1, split=True, note="Memory was short; prompt and negative prompt took turns.")
    yield Thrift(together=1, split=True, frugal=True, note="Memory was short; attention was worked out in pieces.")


def with_thrift(
    request: ImageRequest,
    device: torch.device,
    notes: list[str],
    draw: Callable[[Thrift], Result],
    alone: bool = False,
) -> Result:
    """Draw; when memory runs out, give back what can be and try with less. Raises OutOfMemory when nothing helps."""
    failure: BaseException | None = None
    for thrift in ladder(request, alone):
        try:
            result = draw(thrift)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failure = error.with_traceback(None)  # its frames hold the tensors there was no room for
        else:
            notes.extend([thrift.note] if thrift.note else [])
            return result
        give_back(device)
    width, height = request.hires_size
    message = f"There is not enough memory for a picture of {width}x{height}; make it smaller, or start with --medvram or --lowvram."
    raise OutOfMemory(message) from failure
