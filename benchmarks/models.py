"""Switching models: from disk beside a raw read of the same bytes, back to one in memory, and whether memory stays flat.

    python benchmarks/models.py [--big] [--pairs 5] [--folder FOLDER]

Without --big on models of two million parameters, which only shows that everything runs; with it on two checkpoints of
the size of Stable Diffusion 1.5 with random weights (2 GB each, written once into the folder and used again).
"Cold" means that the file's pages are dropped from the system's cache before each run, ours and the peer's.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

import psutil
import torch
from comparing import compare, heading

from modules.core.plugins import Plugins
from modules.core.requests import ModelRecord
from modules.engine.memory import give_back
from modules.engine.models import Models
from modules.families import random_weights
from modules.families.built import BuildOptions

BLOCK = 16 << 20
COLD_GOAL, CACHED_GOAL, FLAT_GOAL = 1.3, 0.050, 1.02
SWITCHES, SETTLED = 20, 4


def record_of(path: Path) -> ModelRecord:
    """What an engine is told about a file."""
    found = path.stat()
    return ModelRecord(name=path.stem, title=path.name, path=str(path), size=found.st_size, modified=found.st_mtime_ns)


def models(limit: int, device: str) -> Models:
    """The owner of models as an engine has it."""
    plugins = Plugins("engine")
    plugins.add_package("modules.families.kinds")
    options = BuildOptions(device=torch.device(device), half=True, memory="normal", attention="sdpa")
    return Models(plugins.collect("register_families"), options, limit=limit)


def dropped(path: Path) -> None:
    """Let the system forget the file's pages."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def raw_read(path: Path) -> float:
    """Seconds to read all bytes once, cold, into one block."""
    dropped(path)
    block = bytearray(BLOCK)
    began = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.readinto(block):
            pass
    return time.perf_counter() - began


def cold_load(owner: Models, record: ModelRecord) -> float:
    """Seconds until the model can draw, with another one in memory before."""
    owner.unload()
    dropped(Path(record.path))
    began = time.perf_counter()
    loaded = owner.get(record)
    for network in loaded.built.networks.values():  # a mapped file is not read until it is used
        for one in network.parameters():
            torch.empty(0, dtype=torch.uint8, device=one.device).set_(one.untyped_storage())[::4096].sum()
    return time.perf_counter() - began


def back_to_cached(records: list[ModelRecord], device: str) -> float:
    """Median seconds to go back to a model that is in memory."""
    owner, seconds = models(len(records), device), []
    for record in records:
        owner.get(record)
    for _ in range(10):
        for record in records:
            began = time.perf_counter()
            owner.get(record)
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def memory_after_switches(records: list[ModelRecord], device: str) -> tuple[float, float]:
    """Resident bytes after the first switches and after all of them, with one model in memory at a time."""
    owner, process, settled = models(1, device), psutil.Process(), 0
    for number in range(SWITCHES):
        owner.get(records[number % len(records)])
        give_back(owner.device)
        if number == SETTLED - 1:
            settled = process.memory_info().rss
    return settled, process.memory_info().rss


def files(folder: Path, big: bool) -> list[Path]:
    """Two checkpoints, written if they are not there; the second is a copy, which is another file all the same."""
    one, two = (folder / f"{'big' if big else 'small'}-{name}.safetensors" for name in ("one", "two"))
    if not one.exists():
        random_weights.write(one, random_weights.full("sd1") if big else random_weights.small(), seed=0)
    if not two.exists():
        shutil.copy(one, two)
    return [one, two]


def measure(folder: Path, given: argparse.Namespace) -> None:
    """Everything, printed as a table and two lines."""
    records = [record_of(path) for path in files(folder, given.big)]
    print(heading())
    owner = models(1, given.device)
    owner.get(records[1])  # imports
    cold = compare(
        "cold switch beside a raw read",
        COLD_GOAL,
        lambda: cold_load(owner, records[0]),
        lambda: raw_read(Path(records[0].path)),
        given.pairs,
    )
    print(cold.row())
    owner.unload()
    cached = back_to_cached(records, given.device)
    print(f"\nback to a model in memory: {cached * 1000:.2f} ms (goal ≤ {CACHED_GOAL * 1000:.0f} ms)")
    settled, last = memory_after_switches(records, given.device)
    print(
        f"memory after {SETTLED} switches {settled / 2**20:.0f} MB, after {SWITCHES} {last / 2**20:.0f} MB: "
        f"{last / settled:.3f} (goal ≤ {FLAT_GOAL})"
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--big", action="store_true", help="checkpoints of 2 GB each")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", type=Path, help="where the checkpoints are, or are written")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        measure(folder, given)


if __name__ == "__main__":
    main()
