"""How much memory there is and how much is used: of the GPU, or of the machine where the CPU works."""

import ctypes
import sys
from functools import cache
from typing import Any

import psutil
import torch


def memory(device: torch.device) -> tuple[int, int]:
    """(bytes in use, bytes there are) on the device. On a CPU: what this process holds, and the machine's memory."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free, total
    return psutil.Process().memory_info().rss, psutil.virtual_memory().total


def name_of(device: torch.device) -> str:
    """What people call it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return "CPU" if device.type == "cpu" else device.type.upper()


def give_back(device: torch.device) -> None:
    """Hand the cached memory of a device back to its driver, and what is free of this process's to the system."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    _trim()


def _trim() -> None:
    """glibc keeps freed pieces of a model for itself; switching models would let the process grow for ever."""
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


@cache
def _libc() -> Any:
    try:
        return ctypes.CDLL(None) if sys.platform == "linux" else None
    except OSError:
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, or this machine, had no memory left. torch has no exception of its own for the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
