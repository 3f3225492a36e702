"""Tensors from a safetensors file and back, without pickle and without a memory map.

The bytes are read straight into memory that torch owns: a file that is replaced, cut or deleted while its model is in
use changes nothing and cannot end the process with a bus error.
"""

import json
import os
import secrets
import struct
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from math import prod
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from modules.core.errors import InvalidModelFile, StorageFailed
from modules.core.files import TEMPORARY, sync_folder
from modules.core.tensorfile import Header, read_header

NUMBERS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
KIND_OF = {number: kind for kind, number in NUMBERS.items()}
LONGEST_READ = 64 << 20
MOST_AHEAD = 128 << 20  # bytes read before they are asked for


def load(path: Path) -> tuple[Header, dict[str, Tensor]]:
    """A whole file. Raises InvalidModelFile with a sentence for anything that is not a sound file."""
    header = read_header(path)
    return header, dict(tensors(path, header))


def tensors(path: Path, header: Header, names: Collection[str] | None = None) -> Iterator[tuple[str, Tensor]]:
    """These tensors (all when None) one after the other in the order they lie on disk, so that nothing is held twice.

    Raises InvalidModelFile when the file has become shorter or holds numbers that torch has no type for.
    """
    wanted = header.spans.keys() if names is None else names
    in_order = sorted(wanted, key=lambda name: header.spans[name])
    try:
        with path.open("rb", buffering=0) as file:
            _announce(file, [header.spans[name] for name in in_order])
            yield from _read_ahead(in_order, header, lambda name: _read(file, path.name, name, header))
    except OSError as error:
        raise InvalidModelFile(f"{path.name} could not be read: {error.strerror}.") from error


def _announce(file: BinaryIO, spans: Iterable[tuple[int, int]]) -> None:
    """Let the kernel read ahead; from a cold disk the file then comes in at the disk's own speed."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        for begin, end in spans:
            os.posix_fadvise(file.fileno(), begin, min(end - begin, LONGEST_READ), os.POSIX_FADV_WILLNEED)


def _read_ahead(names: Iterable[str], header: Header, read: Callable[[str], Tensor]) -> Iterator[tuple[str, Tensor]]:
    """A thread reads the next tensors while the last one is worked on: loading takes the longer of both, not their sum."""
    waiting: deque[tuple[str, Future[Tensor]]] = deque()
    ahead = 0
    with ThreadPoolExecutor(1, "reading") as reader:
        try:
            for name in names:
                waiting.append((name, reader.submit(read, name)))
                ahead += _size(header, name)
                while ahead > MOST_AHEAD:
                    first, tensor = waiting.popleft()
                    ahead -= _size(header, first)
                    yield first, tensor.result()
            while waiting:
                first, tensor = waiting.popleft()
                yield first, tensor.result()
        finally:
            reader.shutdown(cancel_futures=True)


def _size(header: Header, name: str) -> int:
    begin, end = header.spans[name]
    return end - begin


def _read(file: BinaryIO, file_name: str, name: str, header: Header) -> Tensor:
    number = NUMBERS.get(header.kinds[name])
    if number is None:
        kind = header.kinds[name]
        raise InvalidModelFile(f"{file_name} stores {name!r} as {kind}, which cannot be used; get a float16 version.")
    begin, end = header.spans[name]
    content = torch.empty(end - begin, dtype=torch.uint8)
    if end > begin:
        file.seek(begin)
        _fill(file, content.numpy().data, file_name)
    return content.view(number).reshape(header.shapes[name])


def _fill(file: BinaryIO, room: memoryview, file_name: str) -> None:
    position = 0
    while position < len(room):
        count = file.readinto(room[position : position + LONGEST_READ])  # pyright: ignore[reportAttributeAccessIssue]
        if not count:
            raise InvalidModelFile(f"{file_name} became shorter while it was read; copy or download it again.")
        position += count


def save(
    path: Path, named: Mapping[str, Tensor], metadata: Mapping[str, str], *, number: torch.dtype | None = None
) -> None:
    """Write a file so that after a crash the old one or the new one is there; `number` is what it is stored in, if given.

    Raises StorageFailed when the disk refuses.
    """
    part = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            write(file, named, metadata, number=number)
        os.replace(part, path)
        sync_folder(path.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageFailed(f"{path.name} could not be written: {error.strerror or error}") from error


def write(
    file: BinaryIO, named: Mapping[str, Tensor], metadata: Mapping[str, str], *, number: torch.dtype | None = None
) -> None:
    """Write to an open file, down to the disk, one tensor after the other: nothing is converted before its turn."""
    order, first = head({name: (tensor.shape, number or tensor.dtype) for name, tensor in named.items()}, metadata)
    file.write(first)
    for name in order:
        file.write(_bytes_of(named[name].to(number or named[name].dtype)))
    file.flush()
    os.fsync(file.fileno())


def head(
    kinds: Mapping[str, tuple[Sequence[int], torch.dtype]], metadata: Mapping[str, str]
) -> tuple[list[str], bytes]:
    """The names in the order in which their tensors must follow, and the file's first bytes.  kinds: shape and number.

    The widest numbers come first, so that each tensor lies at a multiple of its numbers' width.
    """
    order = sorted(kinds, key=lambda name: (-kinds[name][1].itemsize, name))
    table: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    position = 0
    for name in order:
        shape, number = kinds[name]
        end = position + prod(shape) * number.itemsize
        table[name] = {"dtype": KIND_OF[number], "shape": list(shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return order, struct.pack("<Q", len(text)) + text


def _bytes_of(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().data
