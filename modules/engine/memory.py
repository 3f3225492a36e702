"""How much memory there is and how much is used: of the GPU, or of the machine where the CPU works."""

import psutil
import torch


def memory(device: torch.device) -> tuple[int, int]:
    """(bytes in use, bytes there are) on the device. On a CPU: what this process holds, and the machine's memory."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free, total
    return psutil.Process().memory_info().rss, psutil.virtual_memory().total


def give_back(device: torch.device) -> None:
    """Hand the cached memory of a device back to its driver."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, or this machine, had no memory left. torch has no exception of its own for the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
