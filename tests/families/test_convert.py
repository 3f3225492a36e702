"""Pickles into safetensors: weights come over exactly, anything else is refused and does nothing."""

import io
import json
import marshal
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.core.errors import InvalidModelFile, StorageFailed
from modules.core.flags import ROOT
from modules.families import convert, convert_main, random_weights, single_file
from modules.families.built import BuildOptions
from modules.families.kinds import sd15

pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")

WEIGHTS = {
    "a.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "a.half": torch.ones(3, dtype=torch.float16),
    "turned": torch.arange(6.0).reshape(2, 3).t(),
    "steps": torch.tensor(470000),
}


class ModelCheckpoint:
    """As training programs leave one in their files."""

    def __init__(self) -> None:
        self.best = 0.5


def saved(content: Any, path: Path, **how: Any) -> Path:
    torch.save(content, path, **how)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_come_over_exactly(zipped: bool, tmp_path: Path) -> None:
    content = {"state_dict": OrderedDict(WEIGHTS), "epoch": 3, "global_step": 470000, "lr": 1e-4}
    path = saved(content, tmp_path / "model.ckpt", _use_new_zipfile_serialization=zipped)
    target = convert.convert(path)
    assert target == tmp_path / "model.safetensors"
    _, found = single_file.load(target)
    assert found.keys() == WEIGHTS.keys()
    assert all(found[name].equal(WEIGHTS[name]) and found[name].dtype == WEIGHTS[name].dtype for name in WEIGHTS)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["model.ckpt", "model.safetensors"]
    with pytest.raises(InvalidModelFile, match=r"model\.safetensors is there already"):
        convert.convert(path)


def test_a_converted_checkpoint_draws(small_file: Path, tmp_path: Path) -> None:
    _, tensors = single_file.load(small_file)
    ema = {"model_ema.decay": torch.zeros(1)}
    saved({"state_dict": tensors | ema}, tmp_path / "old.ckpt")
    header, found = single_file.load(convert.convert(tmp_path / "old.ckpt"))
    assert found.keys() == tensors.keys()  # without the moving averages
    config = {"atelier.config": json.dumps(random_weights.small())}
    single_file.save(tmp_path / "told.safetensors", found, dict(header.metadata) | config)
    assert sd15.build(tmp_path / "told.safetensors", BuildOptions(half=False)).unet is not None


def test_what_training_programs_leave_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy

    monkeypatch.setattr(ModelCheckpoint, "__module__", "pytorch_lightning.callbacks.model_checkpoint")
    fake: Any = type(sys)("pytorch_lightning.callbacks.model_checkpoint")
    fake.ModelCheckpoint = ModelCheckpoint
    monkeypatch.setitem(sys.modules, "pytorch_lightning", type(sys)("pytorch_lightning"))
    monkeypatch.setitem(sys.modules, "pytorch_lightning.callbacks", type(sys)("pytorch_lightning.callbacks"))
    monkeypatch.setitem(sys.modules, "pytorch_lightning.callbacks.model_checkpoint", fake)
    content = {"callbacks": {ModelCheckpoint: {"best": numpy.float64(0.25)}, "again": ModelCheckpoint()}}
    path = saved(content | {"state_dict": WEIGHTS}, tmp_path / "trained.ckpt")
    assert convert_main.read(path).keys() == WEIGHTS.keys()


# What must not happen -----------------------------------------------------------------------------------------------


class Calls:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def canary() -> str:
    return "canary-was-run"


def payloads() -> dict[str, Any]:
    """Objects that would leave a file behind, each by another door."""
    import builtins
    import runpy

    touch = f"open({canary()!r}, 'w')"
    code = marshal.dumps(compile(touch, "x", "exec"))
    return {
        "os.system": Calls(os.system, f"touch {canary()}"),
        "open": Calls(open, canary(), "w"),
        "exec": Calls(exec, touch),
        "eval": Calls(eval, touch),
        "subprocess": Calls(subprocess.call, ["touch", canary()]),
        "import": Calls(builtins.__import__, "os"),
        "getattr": Calls(getattr, "", "__class__"),
        "runpy": Calls(runpy.run_path, canary()),
        "marshal": Calls(marshal.loads, code),
        "torch.load": Calls(torch.load, canary()),
        "pickle": Calls(pickle.loads, pickle.dumps(Calls(open, canary(), "w"))),
    }


def forms(payload: Any, protocol: int) -> dict[str, bytes]:
    """The ways in which files carry a pickle."""
    raw = pickle.dumps(payload, protocol)
    whole, archive = io.BytesIO(), io.BytesIO()
    torch.save({"state_dict": WEIGHTS, "extra": payload}, whole, pickle_protocol=protocol)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", raw)
        file.writestr("archive/version", "3")
    return {"raw": raw, "beside weights": whole.getvalue(), "zip": archive.getvalue()}


def corpus() -> Iterator[Any]:
    for name, payload in payloads().items():
        for protocol in (0, 2, 4):
            for form in ("raw", "beside weights", "zip"):
                if form != "beside weights" or protocol != 0:
                    yield pytest.param(payload, protocol, form, id=f"{name}, protocol {protocol}, {form}")


@pytest.mark.parametrize(("payload", "protocol", "form"), corpus())
def test_nothing_runs(payload: Any, protocol: int, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.ckpt"
    path.write_bytes(forms(payload, protocol)[form])
    with pytest.raises(convert_main.Refused):
        convert_main.read(path)
    assert [one.name for one in tmp_path.iterdir()] == ["bad.ckpt"]


def test_a_malicious_file_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bad.ckpt"
    path.write_bytes(forms(Calls(os.system, f"touch {canary()}"), 2)["beside weights"])
    with pytest.raises(InvalidModelFile, match=r"bad\.ckpt was not converted: .*posix"):
        convert.convert(path)
    assert [one.name for one in tmp_path.iterdir()] == ["bad.ckpt"]


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4", b"\x80\2.", b"\x80\4K\1.", b"hello", b"\x80\2}q\0.", b"7z\xbc\xaf\x27\x1c" + b"\0" * 99]
)
def test_what_is_no_pickle_of_weights_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(convert_main.Refused):
        convert_main.check_size(convert_main.read(tmp_path / "x.pt"), len(content))


def test_endless_tensors_are_refused(tmp_path: Path) -> None:
    endless = torch.zeros(1).expand(1 << 40)
    path = saved({"x": endless}, tmp_path / "x.pt")
    with pytest.raises(convert_main.Refused, match=r"would take 4,398,046,511,104 bytes"):
        convert_main.check_size(convert_main.read(path), path.stat().st_size)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"x": torch.zeros(2, dtype=torch.complex64)}, "complex64"),
        ({"x": torch.zeros(2, 2).to_sparse()}, "form that safetensors files do not have"),
        ({"x" * 400: torch.zeros(1)}, "name is too long"),
        ([torch.zeros(1)], "not a table of tensors"),
    ],
)
def test_tensors_that_cannot_be_kept_are_named(content: Any, why: str, tmp_path: Path) -> None:
    with pytest.raises(convert_main.Refused, match=why):
        convert_main.read(saved(content, tmp_path / "x.pt"))


def test_other_endings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pt2").write_bytes(b"")
    with pytest.raises(InvalidModelFile, match=r"x\.pt2 is not to be converted"):
        convert.convert(tmp_path / "x.pt2")


def test_a_file_that_takes_for_ever_is_given_up(tmp_path: Path) -> None:
    path = saved(WEIGHTS, tmp_path / "x.pt")
    with pytest.raises(InvalidModelFile, match="took longer than 0 seconds"):
        convert.convert(path, seconds=0.01)
    assert [one.name for one in tmp_path.iterdir()] == ["x.pt"]


def test_a_process_that_dies_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "dies.py"
    program.write_text("import os; os.abort()")
    monkeypatch.setattr(convert, "PROGRAM", program)
    with pytest.raises(InvalidModelFile, match="ended with status -6"):
        convert.convert(saved(WEIGHTS, tmp_path / "x.pt"))


def test_a_process_that_says_it_is_done_must_have_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "lies.py"
    program.write_text("import sys; open(sys.argv[2], 'wb').write(b'x'); print('{\"tensors\": 1}')")
    monkeypatch.setattr(convert, "PROGRAM", program)
    with pytest.raises(InvalidModelFile):
        convert.convert(saved(WEIGHTS, tmp_path / "x.pt"))
    assert not list(tmp_path.glob("*.safetensors"))
    program.write_text("print('{\"tensors\": 1}')")
    with pytest.raises((InvalidModelFile, StorageFailed)):
        convert.convert(tmp_path / "x.pt")


# The rights it gives away --------------------------------------------------------------------------------------------

LOCKED = """
import os, socket, subprocess, sys, threading
sys.path.insert(0, sys.argv[1])
from modules.families import lockdown
held = open("held", "w")
lockdown.bound(memory=1 << 40, file_size=1 << 20, seconds=60)
locked = lockdown.lock()
tries = {
    "socket": socket.socket,
    "pair": socket.socketpair,
    "fork": os.fork,
    "run": lambda: subprocess.run(["true"]),
    "write": lambda: open("new", "w"),
    "append": lambda: open("held", "a"),
    "unlink": lambda: os.unlink("held"),
    "rename": lambda: os.rename("held", "other"),
    "mkdir": lambda: os.mkdir("folder"),
    "chmod": lambda: os.chmod("held", 0o777),
    "truncate": lambda: os.truncate("held", 0),
    "symlink": lambda: os.symlink("held", "link"),
    "kill": lambda: os.kill(os.getppid(), 0),
}
done = []
for name, attempt in tries.items():
    try:
        attempt()
        done.append(name)
    except OSError:
        pass
thread = threading.Thread(target=lambda: held.write("kept"))
thread.start()
thread.join()
held.close()
print(locked, done, len(open(sys.argv[0]).read()) > 100)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux'")
def test_a_locked_process_can_do_nothing_but_read_and_go_on_writing(tmp_path: Path) -> None:
    (tmp_path / "locked.py").write_text(LOCKED)
    command = [sys.executable, "-I", "locked.py", str(ROOT)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "True [] True"
    assert (tmp_path / "held").read_text() == "kept"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["held", "locked.py"]


def test_the_parent_imports_no_torch() -> None:
    code = "import sys, modules.families.convert, modules.families.folder; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_the_lock_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> bool:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(convert_main.lockdown, "lock", refuse)
    monkeypatch.setattr(convert_main.lockdown, "bound", lambda **_: None)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    answer = convert_main.run(saved(WEIGHTS, tmp_path / "x.pt"), tmp_path / "part")
    assert "give its rights away (Function not implemented)" in answer["refused"]
