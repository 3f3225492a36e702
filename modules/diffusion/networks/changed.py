"""Other weights in the place of a model's own, for a while.

A layer's parameter is replaced, not written to, and the very same object comes back at the end: nothing is rounded,
nothing copied. Layers that accelerate keeps in main memory (`--lowvram`) are changed there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Write = Callable[[nn.Module, str, Tensor], None]
ROOM = 1 << 30  # bytes that stay free on a GPU; below, the original weights wait in main memory


@contextmanager
def lent() -> Iterator[Write]:
    """Yields write(layer, name, tensor): `layer`'s parameter `name` is then that tensor, in its own type and place.

    At the end, also after an error, every layer has its own parameters back.
    """
    undo: list[Callable[[], None]] = []

    def write(layer: nn.Module, name: str, value: Tensor) -> None:
        kept = getattr(layer, name)
        undo.append(_replace_offloaded(layer, name, value) if kept.is_meta else _replace(layer, name, value))

    try:
        yield write
    finally:
        for one in reversed(undo):
            one()


def current(layer: nn.Module, name: str) -> Tensor:
    """The numbers of a layer's parameter, wherever they are."""
    kept = getattr(layer, name)
    return _table(layer)[name] if kept.is_meta else kept.detach()


def _replace(layer: nn.Module, name: str, value: Tensor) -> Callable[[], None]:
    original = getattr(layer, name)
    with _plain():
        fresh = torch.empty_like(original.detach()).copy_(value)
        setattr(layer, name, nn.Parameter(fresh, requires_grad=original.requires_grad))
        if _is_short(original.device):
            original.data = original.data.cpu()

    def undo() -> None:
        # the model may have been moved meanwhile; the originals follow
        place = getattr(layer, name).device
        if original.device != place:
            with _plain():
                original.data = original.data.to(place)
        setattr(layer, name, original)

    return undo


@contextmanager
def _plain() -> Iterator[None]:
    """Weights made in here are like all others, also while a job runs in torch's inference mode."""
    with torch.inference_mode(mode=False), torch.no_grad():
        yield


def _is_short(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.mem_get_info(device)[0] < ROOM


def _replace_offloaded(layer: nn.Module, name: str, value: Tensor) -> Callable[[], None]:
    table, key = _entry(layer, name)
    original = table[key]
    table[key] = torch.empty_like(original).copy_(value)

    def undo() -> None:
        table[key] = original

    return undo


def _table(layer: nn.Module) -> Any:
    hook: Any = getattr(layer, "_hf_hook", None)
    for one in (hook, *getattr(hook, "hooks", ())):
        if getattr(one, "weights_map", None) is not None:
            return one.weights_map
    raise RuntimeError(f"{type(layer).__name__} has no weights, and nobody keeps them elsewhere")


def _entry(layer: nn.Module, name: str) -> tuple[Any, str]:
    """The dictionary that accelerate reads the weight from, behind its views with a prefix each."""
    table = _table(layer)
    while hasattr(table, "prefix"):
        table, name = table.dataset, f"{table.prefix}{name}"
    return table, name
