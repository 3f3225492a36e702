"""The process of `convert.py`: read a pickle's tensors with no rights but to read, write them to a file already open.

python -I convert_main.py PICKLE TARGET      answers {"tensors": n} or {"refused": why} on stdout
"""

import json
import pickle
import re
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # isolated mode leaves out our own folder

import torch
from torch import Tensor

from modules.families import lockdown, single_file

MOST_TENSORS, LONGEST_NAME = 100_000, 300
SPARE = 64 << 20
MEMORY = 16 << 30  # address space beside the file's own size; torch alone reserves some
SECONDS = 1800
WRAPPERS = ("state_dict", "model")
LEFT_OUT = ("model_ema.", "optimizer")
# what a broken file provokes in torch; anything else ends the process, which is a refusal too
BROKEN = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, OSError, RuntimeError),
    *(TypeError, ValueError, struct.error),
)
GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


class Refused(Exception):
    """Why, as the end of a sentence."""


class Inert:
    """Stands for what training programs leave in their files beside the weights; takes anything, does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return self is other


LEFT_BY_TRAINING = (
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
)


def read(path: Path) -> dict[str, Tensor]:
    """The tensors by name. Raises Refused."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    stand_ins: Any = [(Inert, name) for name in LEFT_BY_TRAINING]
    try:
        with torch.serialization.safe_globals(stand_ins):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise Refused(_reason(error)) from error
    except MemoryError as error:
        raise Refused("it wants more memory than a file of its size can need") from error
    except BROKEN as error:
        raise Refused(f"it is damaged or no pickle of torch ({type(error).__name__})") from error
    return dict(_tensors(content))


def _reason(error: pickle.UnpicklingError) -> str:
    named = GLOBAL.search(str(error))
    if named:
        return f"it asks for {named[1][:100]}, which weights do not need and which could run code"
    return "it is more than a table of weights, or no pickle of torch at all"


def _tensors(content: Any) -> Iterator[tuple[str, Tensor]]:
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise Refused("it is not a table of tensors")
    for name, tensor in content.items():
        if isinstance(tensor, Tensor) and isinstance(name, str) and not name.startswith(LEFT_OUT):
            yield name, _checked(name, tensor.detach())


def _checked(name: str, tensor: Tensor) -> Tensor:
    if len(name) > LONGEST_NAME:
        raise Refused("a tensor's name is too long")
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.dtype not in single_file.KIND_OF:
        raise Refused(f"{name[:100]!r} holds {tensor.dtype} in a form that safetensors files do not have")
    return tensor


def check_size(tensors: Mapping[str, Tensor], size: int) -> None:
    """A small file may claim endless tensors by repeating the same numbers. Raises Refused."""
    if not 0 < len(tensors) <= MOST_TENSORS:
        raise Refused("it holds no tensors" if not tensors else "it holds too many tensors")
    claimed = sum(one.numel() * one.element_size() for one in tensors.values())
    if claimed > 2 * size + SPARE:
        raise Refused(f"its tensors would take {claimed:,} bytes, more than a file of {size:,} can hold")


def run(path: Path, target: Path) -> dict[str, Any]:
    """Convert; what to answer."""
    size = path.stat().st_size
    with target.open("xb") as file:
        lockdown.bound(memory=MEMORY + 3 * size, file_size=2 * size + 2 * SPARE, seconds=SECONDS)
        try:
            _lock()
            tensors = read(path)
            check_size(tensors, size)
        except Refused as refusal:
            return {"refused": str(refusal)}
        single_file.write(file, tensors, {})
    return {"tensors": len(tensors)}


def _lock() -> None:
    try:
        lockdown.lock()
    except OSError as error:
        raise Refused(f"this system does not let a process give its rights away ({error.strerror})") from error


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]))))
