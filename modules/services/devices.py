"""Which devices this machine has, found without torch."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping

from modules.core.flags import Flags


def devices(flags: Flags, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Torch's names of the devices to run an engine on: "cuda:0", …, "mps" or "cpu"."""
    if "all" in flags.use_cpu:
        return ("cpu",)
    if flags.device_id:
        return tuple(f"cuda:{number.strip()}" for number in flags.device_id.split(",") if number.strip())
    count = _cuda_devices(environment)
    if count:
        return tuple(f"cuda:{number}" for number in range(count))
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return ("mps",)
    return ("cpu",)


def _cuda_devices(environment: Mapping[str, str]) -> int:
    """How many GPUs torch will see: those of the driver, as far as CUDA_VISIBLE_DEVICES lets them be seen."""
    present = 0 if _torch_for_cpu() else _nvidia_devices()
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return present
    chosen = [one for one in visible.split(",") if one.strip() and one.strip() != "-1"]
    return min(present, len(chosen))


def _torch_for_cpu() -> bool:
    """Whether the installed torch is the build without CUDA, which its version says: `2.13.0+cpu`."""
    try:
        return importlib.metadata.version("torch").endswith("+cpu")
    except importlib.metadata.PackageNotFoundError:
        return False


def _nvidia_devices() -> int:
    program = shutil.which("nvidia-smi")
    if not program:
        return 0
    try:
        answer = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in answer.stdout.splitlines())
