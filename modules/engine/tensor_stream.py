"""Tensors of a safetensors file one by one, read and written, so that no model has to be in memory whole."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from modules.core.errors import InvalidModelFile, StorageFailed
from modules.core.files import TEMPORARY, sync_folder
from modules.core.tensorfile import Header, read_header
from modules.families.single_file import NUMBERS, head

SPARE_BYTES = 500 << 20


@dataclass(frozen=True, kw_only=True)
class Source:
    """An open safetensors file."""

    header: Header
    file: BinaryIO

    def read(self, name: str) -> Tensor:
        """One tensor, in memory of its own. Raises InvalidModelFile for a kind of number that torch has not."""
        dtype = dtype_of(self.header, name)
        begin, end = self.header.spans[name]
        content = bytearray(end - begin)
        self.file.seek(begin)
        if self.file.readinto(content) != end - begin:  # pyright: ignore[reportAttributeAccessIssue]
            raise InvalidModelFile("a model file became shorter while it was read; try again.")
        shape = self.header.shapes[name]
        return torch.frombuffer(content, dtype=dtype).reshape(shape) if content else torch.empty(shape, dtype=dtype)


def dtype_of(header: Header, name: str) -> torch.dtype:
    """The kind of number of one tensor. Raises InvalidModelFile for one that torch has not."""
    dtype = NUMBERS.get(header.kinds[name])
    if dtype is None:
        raise InvalidModelFile(f"the tensor {name!r} is stored as {header.kinds[name]}, which cannot be merged.")
    return dtype


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """A file to read tensors from. Raises InvalidModelFile."""
    header = read_header(path)
    with path.open("rb") as file:
        yield Source(header=header, file=file)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A tensor of the file to be: shape, kind of number, and how to get it."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], Tensor]

    @property
    def size(self) -> int:
        """In bytes."""
        return prod(self.shape) * self.dtype.itemsize


def write(
    path: Path, tensors: Mapping[str, Planned], metadata: Mapping[str, str], on_bytes: Callable[[int], None]
) -> None:
    """Write a safetensors file, whole or not at all, calling `on_bytes(written so far)` after each tensor.

    Raises StorageFailed, and whatever `on_bytes` or a tensor's `make` raises; then nothing is left behind.
    """
    order, first = head({name: (one.shape, one.dtype) for name, one in tensors.items()}, metadata)
    total = sum(one.size for one in tensors.values())
    part = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_room(path.parent, total)
        with part.open("wb") as file:
            file.write(first)
            _write_tensors(file, order, tensors, on_bytes)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageFailed(f"{path.name} could not be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _check_room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < wanted + SPARE_BYTES:
        raise StorageFailed(
            f"The disk is too full: the result needs {wanted >> 20:,} MB and {free >> 20:,} are free; make room."
        )


def _write_tensors(
    file: BinaryIO, order: list[str], tensors: Mapping[str, Planned], on_bytes: Callable[[int], None]
) -> None:
    written = 0
    for name in order:
        tensor = tensors[name].make()
        assert (tuple(tensor.shape), tensor.dtype) == (tensors[name].shape, tensors[name].dtype), name
        if tensor.numel():
            file.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
        written += tensors[name].size
        on_bytes(written)
