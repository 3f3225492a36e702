"""A new embedding file made of a model's own vectors for some words: where a textual inversion begins.

Gal et al. 2022, arXiv:2208.01618, §4. The vectors are copied from the checkpoint byte by byte, so no torch is needed.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modules.core.errors import InvalidModelFile, StorageFailed
from modules.core.files import write_atomically
from modules.core.requests import ModelRecord
from modules.core.tensorfile import BITS, read_header

TABLE = "token_embedding.weight"
NUMBERS = ("F32", "F16", "BF16")
MOST_VECTORS = 75
INIT_TEXT = "atelier.init_text"


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """The vectors of some tokens. `kind`: the format's name of their numbers."""

    kind: str
    width: int
    content: bytes


def write_embedding(target: Path, model: ModelRecord, tokens: Sequence[int], vectors: int, text: str) -> None:
    """Write `vectors` vectors into a safetensors file; they are those of the tokens, spread evenly over them.

    `text`: the words the tokens stand for, kept in the file. Raises InvalidModelFile, StorageFailed.
    """
    chosen = [tokens[at * len(tokens) // vectors] for at in range(vectors)]
    tables = {name: _rows(path, tensor, chosen) for name, (path, tensor) in _tables(Path(model.path)).items()}
    if not tables:
        raise InvalidModelFile(
            f"{model.name} has no text encoder whose words could be begun from; choose another model."
        )
    if len(tables) == 1:
        tables = {"emb_params": next(iter(tables.values()))}
    metadata = {"ss_output_name": target.stem, "modelspec.trigger_phrase": target.stem, INIT_TEXT: text}
    write_atomically(target, _file(tables, vectors, metadata))


def _tables(path: Path) -> Mapping[str, tuple[Path, str]]:
    """Where each text encoder's table of vectors is: (file, tensor) by the name that embedding files give it."""
    if path.is_dir():
        files = {
            name: _first(path / folder) for name, folder in (("clip_l", "text_encoder"), ("clip_g", "text_encoder_2"))
        }
        named = {name: (file, _named(file)) for name, file in files.items() if file is not None}
        return {name: (file, found[0]) for name, (file, found) in named.items() if found}
    return {"clip_g" if ".embedders.1." in f".{name}" else "clip_l": (path, name) for name in _named(path)}


def _first(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("*.safetensors"))), None)


def _named(file: Path) -> list[str]:
    return [name for name in read_header(file).shapes if name.endswith(TABLE)]


def _rows(file: Path, tensor: str, ids: Sequence[int]) -> _Rows:
    header = read_header(file)
    shape, kind = header.shapes[tensor], header.kinds[tensor]
    if len(shape) != 2 or kind not in NUMBERS or max(ids) >= shape[0]:
        raise InvalidModelFile(
            f"{file.name} keeps its words in a form that cannot be begun from ({kind}); choose another."
        )
    size = shape[1] * BITS[kind] // 8
    start = header.spans[tensor][0]
    try:
        with file.open("rb") as opened:
            return _Rows(
                kind=kind, width=shape[1], content=b"".join(_row(opened, start + id * size, size) for id in ids)
            )
    except OSError as error:
        raise StorageFailed(f"{file.name} could not be read: {error.strerror}") from error


def _row(opened: BinaryIO, at: int, size: int) -> bytes:
    opened.seek(at)
    return opened.read(size)


def _file(tables: Mapping[str, _Rows], vectors: int, metadata: Mapping[str, str]) -> bytes:
    """The bytes of a safetensors file."""
    described: dict[str, object] = {"__metadata__": metadata}
    at = 0
    for name, one in tables.items():
        end = at + len(one.content)
        described[name] = {"dtype": one.kind, "shape": [vectors, one.width], "data_offsets": [at, end]}
        at = end
    header = json.dumps(described).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + b"".join(one.content for one in tables.values())
