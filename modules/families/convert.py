"""Pickles (`.ckpt`, `.pt`) into safetensors files, in a process that can do nothing else.

Asked for by a person, never by loading. The process is Python in isolated mode without our environment; it opens the
file it is to write, gives its rights away (`lockdown.py`) and only then reads, with `weights_only`. Imports no torch.
"""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

from modules.core.errors import InvalidModelFile, StorageFailed
from modules.core.files import TEMPORARY, sync_folder
from modules.core.tensorfile import read_header

PROGRAM = Path(__file__).with_name("convert_main.py")
ENDINGS = (".ckpt", ".pt", ".pth", ".bin")
LONGEST = 1800.0
KEPT_FROM_ENVIRONMENT = ("SYSTEMROOT",)  # without it Python does not start on Windows


def convert(path: Path, *, seconds: float = LONGEST) -> Path:
    """Write the tensors of a pickle beside it as `.safetensors`; answers where. The pickle stays.

    Raises InvalidModelFile for a file that wants more than to be read, is none of these or has been converted already;
    StorageFailed when the disk refuses.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InvalidModelFile(f"{path.name} is not to be converted; that is for {', '.join(ENDINGS)} files.")
    target = path.with_suffix(".safetensors")
    if target.exists():
        raise InvalidModelFile(f"{target.name} is there already; delete or rename it to convert {path.name} again.")
    part = path.with_name(f".{target.name[:80]}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        _check(path, _answer(path, part, seconds))
        read_header(part)
        os.replace(part, target)
        sync_folder(target.parent)
    except OSError as error:
        raise StorageFailed(f"{target.name} could not be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def _answer(path: Path, part: Path, seconds: float) -> subprocess.CompletedProcess[bytes]:
    kept = {name: os.environ[name] for name in KEPT_FROM_ENVIRONMENT if name in os.environ}
    try:
        return subprocess.run(
            [sys.executable, "-I", str(PROGRAM), str(path.resolve()), str(part.resolve())],
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"} | kept,
            cwd=path.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InvalidModelFile(
            f"{path.name} took longer than {seconds:.0f} seconds to read and was given up."
        ) from error


def _check(path: Path, done: subprocess.CompletedProcess[bytes]) -> None:
    try:
        answer = json.loads(done.stdout[-10_000:])
    except ValueError:
        answer = None
    if done.returncode == 0 and isinstance(answer, dict) and answer.get("tensors"):
        return
    why = str(answer.get("refused", ""))[:500] if isinstance(answer, dict) else ""
    why = why or f"the process that read it ended with status {done.returncode}"
    raise InvalidModelFile(f"{path.name} was not converted: {why}.")
