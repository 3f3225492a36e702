"""The tensors of a network file, read without running code and without a memory map.

`.safetensors` after a check of its header; `.pt`, `.bin` and the like by torch's reader that knows tensors and plain
containers only.
"""

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parsed
from torch import Tensor, nn

from modules.core.errors import InvalidModelFile
from modules.core.tensorfile import read_header

SAFE_ENDINGS = (".safetensors", ".sft")
PICKLE_FAULTS = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, ValueError, KeyError, IndexError),
    *(TypeError, AttributeError, AssertionError, MemoryError, OverflowError, ImportError),
)
# The first textual inversion programs stored torch's own container of parameters.
CONTAINERS = (nn.ParameterDict, set)


def is_safe(path: Path) -> bool:
    """Whether the name says that it is a safetensors file."""
    return path.suffix.lower() in SAFE_ENDINGS


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file, on the CPU. Raises InvalidModelFile with a sentence."""
    header = read_header(path)
    try:
        return dict(header.metadata), parsed(path.read_bytes())
    except OSError as error:
        raise InvalidModelFile(f"{path.name} could not be read: {error.strerror}.") from error
    except (SafetensorError, KeyError, ValueError, RuntimeError, AttributeError) as error:
        raise InvalidModelFile(
            f"{path.name} is damaged, or holds numbers of a type that cannot be used: {str(error)[:200]}."
        ) from error


def read_pickle(path: Path) -> Any:
    """What a file written by torch.save holds: tensors, numbers, texts and containers of them. No code in it is run.

    Raises InvalidModelFile for a file that holds anything else, or tensors larger than itself.
    """
    try:
        _refuse_compressed(path)
        with torch.serialization.safe_globals(list(CONTAINERS)):
            content = torch.load(path, map_location="cpu", weights_only=True)
        size = path.stat().st_size
    except OSError as error:
        raise InvalidModelFile(f"{path.name} could not be read: {error.strerror}.") from error
    except PICKLE_FAULTS as error:
        raise InvalidModelFile(
            f"{path.name} is damaged, or holds more than numbers and was refused: it could run code when loaded. "
            "Get a .safetensors version of it."
        ) from error
    if not all(_is_plain(tensor, size) for tensor in _tensors_in(content)):
        raise InvalidModelFile(f"{path.name} was refused: it claims to hold more numbers than it has bytes.")
    return content


def _refuse_compressed(path: Path) -> None:
    """torch.save never compresses; what a compressed file grows to is only known when memory is full."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
                raise ValueError("compressed")


def _is_plain(tensor: Tensor, size: int) -> bool:
    """Numbers that lie in the file: not spread out from a few, not without memory, not of a kind of their own."""
    ordinary = type(tensor) in (Tensor, nn.Parameter) and tensor.layout == torch.strided and not tensor.is_quantized
    return ordinary and tensor.device.type == "cpu" and tensor.numel() <= size


def _tensors_in(content: Any) -> Iterator[Tensor]:
    """All tensors in nested containers, each container looked into once."""
    waiting, seen = [content], set[int]()
    while waiting:
        one = waiting.pop()
        if isinstance(one, Tensor):
            yield one
        elif isinstance(one, Mapping | nn.ParameterDict | list | tuple | set) and id(one) not in seen:
            seen.add(id(one))
            waiting.extend(one.values() if isinstance(one, Mapping | nn.ParameterDict) else one)
