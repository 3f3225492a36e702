"""Small real things that the tests of the services share."""

import json
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from modules.core.events import ImageReady
from modules.core.plugins import Plugins

TINY_ENGINE = (sys.executable, str(Path(__file__).with_name("tiny_engine.py")))


def write_checkpoint(path: Path, metadata: dict[str, str] | None = None, side: int = 8) -> Path:
    """A small, sound safetensors file."""
    tensors = {"model.diffusion_model.out.weight": {"dtype": "F32", "shape": [side], "data_offsets": [0, side * 4]}}
    header = json.dumps(({"__metadata__": metadata} if metadata else {}) | tensors).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(side * 4))
    return path


def eventually(true: Callable[[], object], seconds: float = 60.0) -> object:
    """Wait until something is true; answers it."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.01)
    return found


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def web_plugins() -> Plugins:
    """The plugins of a web process without faces."""
    plugins = Plugins("web")
    for package in ("modules.storage.backends", "modules.services.dispatch", "modules.services.setting_groups"):
        plugins.add_package(package)
    return plugins


def drawn(job: str, index: int = 0, seed: int = 5, content: bytes = b"\x89PNG picture") -> ImageReady:
    """What an engine sends for a finished picture."""
    return ImageReady(job=job, index=index, png=content, infotext=f"Seed: {seed}", seed=seed, width=64, height=96)
