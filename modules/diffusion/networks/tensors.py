"""The tensors of a network file, read without running code and without a memory map.

`.safetensors` after a check of its header; `.pt`, `.bin` and the like by torch's reader that knows tensors and plain
containers only.
"""

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parsed
from torch import Tensor, nn

from modules.core.errors import InvalidModelFile
from modules.core.tensorfile import read_header

SAFE_ENDINGS = (".safetensors", ".sft")
PICKLE_FAULTS = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError)
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
            f"{path.name} holds numbers of a type that cannot be used: {str(error)[:200]}."
        ) from error


def read_pickle(path: Path) -> Any:
    """What a file written by torch.save holds: tensors, numbers, texts and containers of them. No code in it is run.

    Raises InvalidModelFile for a file that holds anything else.
    """
    try:
        with torch.serialization.safe_globals(list(CONTAINERS)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InvalidModelFile(f"{path.name} could not be read: {error.strerror}.") from error
    except PICKLE_FAULTS as error:
        raise InvalidModelFile(
            f"{path.name} is damaged, or holds more than numbers and was refused: it could run code when loaded. "
            "Get a .safetensors version of it."
        ) from error
