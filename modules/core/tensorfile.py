"""The header of a safetensors file: names, shapes and metadata, without reading a tensor.

Format: 8 bytes little-endian length n, n bytes of JSON, then the tensors' bytes (huggingface.co/docs/safetensors).
Everything in the header is checked here before anybody allocates memory by it.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from modules.core.errors import InvalidModelFile

LONGEST_HEADER = 16 << 20
MOST_TENSORS = 100_000
BITS = {
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "F32": 32,
    "I32": 32,
    "U32": 32,
    "F16": 16,
    "BF16": 16,
    "I16": 16,
    "U16": 16,
    "I8": 8,
    "U8": 8,
    "BOOL": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "C64": 64,
}


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a safetensors file says it holds. `shapes` by tensor name; `metadata` is free text by key.

    `kinds` are the format's names of number types (`F16`); `spans` the bytes of the file where each tensor lies.
    """

    shapes: Mapping[str, tuple[int, ...]]
    kinds: Mapping[str, str]
    metadata: Mapping[str, str]
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def read_header(path: Path) -> Header:
    """Read and check a header. Raises InvalidModelFile with a sentence for anything that is not a whole, sound file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(9)
            _refuse_other_kinds(path, start)
            (length,) = struct.unpack("<Q", start[:8])
            file.seek(8)
            if length > min(LONGEST_HEADER, size - 8):
                raise InvalidModelFile(
                    f"{path.name} is no safetensors file, or it is cut off: its header would be {length:,} bytes long."
                )
            table = json.loads(file.read(length), object_pairs_hook=_without_duplicates)
    except OSError as error:
        raise InvalidModelFile(f"{path.name} could not be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidModelFile(f"{path.name} is damaged: its header is not valid JSON.") from error
    return _checked(path.name, table, 8 + length, size)


def _refuse_other_kinds(path: Path, start: bytes) -> None:
    if len(start) < 8:
        raise InvalidModelFile(f"{path.name} is empty or cut off after {len(start)} bytes; copy or download it again.")
    # a length may begin with these bytes too; only JSON follows it, and in a pickle or zip no brace stands here
    if start[8:] != b"{" and (start[:2] == b"PK" or start[:1] == b"\x80"):
        raise InvalidModelFile(
            f"{path.name} is a pickle (.ckpt), which could run code when loaded; get the .safetensors version of it."
        )


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands twice")
    return table


def _checked(name: str, table: Any, start: int, size: int) -> Header:
    if not isinstance(table, dict) or len(table) > MOST_TENSORS:
        raise InvalidModelFile(f"{name} is damaged: its header is not a table of at most {MOST_TENSORS:,} tensors.")
    try:
        metadata = dict(table.pop("__metadata__", None) or {})
        spans = {key: _span(entry) for key, entry in table.items()}
        shapes = {key: tuple(int(side) for side in entry["shape"]) for key, entry in table.items()}
        kinds = {key: str(entry["dtype"]) for key, entry in table.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidModelFile(f"{name} is damaged: the header describes a tensor that cannot be ({error}).") from error
    _check_spans(name, sorted(spans.values()), size - start)
    return Header(
        shapes=shapes,
        kinds=kinds,
        metadata={str(key): str(value) for key, value in metadata.items()},
        spans={key: (start + begin, start + end) for key, (begin, end) in spans.items()},
    )


def _span(entry: Any) -> tuple[int, int]:
    begin, end = entry["data_offsets"]
    shape, bits = entry["shape"], BITS[entry["dtype"]]
    if not all(isinstance(side, int) and 0 <= side < 1 << 40 for side in (*shape, begin, end)) or len(shape) > 16:
        raise ValueError("a size is not a reasonable number")
    if (end - begin) * 8 != prod(shape) * bits:
        raise ValueError("its size does not fit its shape")
    return begin, end


def _check_spans(name: str, spans: list[tuple[int, int]], room: int) -> None:
    position = 0
    for begin, end in spans:
        if begin != position:
            raise InvalidModelFile(f"{name} is damaged: tensors overlap or leave gaps at byte {position:,}.")
        position = end
    if position != room:
        raise InvalidModelFile(
            f"{name} is cut off or damaged: {position:,} bytes of tensors are announced, {room:,} are there; copy or download it again."
        )
