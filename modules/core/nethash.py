"""The short hashes that picture texts carry for network files: `Lora hashes` and `TI hashes`."""

import hashlib
import re
import struct
from pathlib import Path

from modules.core.errors import InvalidModelFile
from modules.core.tensorfile import read_header

LENGTH = 12  # hexadecimal digits
BLOCK = 4 << 20
HASH_IN_METADATA = "sshs_model_hash"
HEXADECIMAL = re.compile(rf"[0-9a-fA-F]{{{LENGTH},}}")


def short_hash(path: Path, kind: str = "lora") -> str:
    """Twelve hexadecimal digits for a file of this kind ("lora", "embedding", "hypernetwork").

    A LoRA's is its metadata's `sshs_model_hash`, else the SHA-256 of the tensors alone, so that a new title or preview
    in the header changes nothing. Of any other file the SHA-256 is of the whole. Raises InvalidModelFile.
    """
    if kind != "lora" or path.suffix.lower() != ".safetensors":
        return _sha256(path, 0)[:LENGTH]
    stated = read_header(path).metadata.get(HASH_IN_METADATA, "")
    if HEXADECIMAL.match(stated):
        return stated[:LENGTH].lower()
    return _sha256(path, _end_of_header(path))[:LENGTH]


def _end_of_header(path: Path) -> int:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
    return 8 + length


def _sha256(path: Path, start: int) -> str:
    """Of everything from byte `start` on."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            file.seek(start)
            while block := file.read(BLOCK):
                digest.update(block)
    except OSError as error:
        raise InvalidModelFile(f"{path.name} could not be read: {error.strerror}.") from error
    return digest.hexdigest()
