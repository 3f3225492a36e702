"""Which devices get an engine; with a real program in place of nvidia-smi."""

import stat

import pytest

from modules.core.flags import parse_flags
from modules.services import devices as devices_module
from modules.services.devices import devices


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """A function that puts an `nvidia-smi` on the path that prints something and exits with a status."""

    def put(output: str, status: int = 0) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\nexit {status}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    monkeypatch.setattr(devices_module, "_torch_for_cpu", lambda: False)
    monkeypatch.setattr(devices_module.sys, "platform", "linux")
    return put


def found(*flags: str, **environment: str) -> tuple[str, ...]:
    return devices(parse_flags(list(flags), {}), environment)


TWO = "GPU 0: NVIDIA H200 (UUID: GPU-1)\nGPU 1: NVIDIA H200 (UUID: GPU-2)"


def test_one_engine_per_gpu(nvidia_smi):
    nvidia_smi(TWO)
    assert found() == ("cuda:0", "cuda:1")


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("1", ("cuda:0",)),
        ("0,1", ("cuda:0", "cuda:1")),
        ("", ("cpu",)),
        ("-1", ("cpu",)),
        ("0,1,2", ("cuda:0", "cuda:1")),
    ],
)
def test_visible_devices(nvidia_smi, visible, expected):
    nvidia_smi(TWO)
    assert found(CUDA_VISIBLE_DEVICES=visible) == expected


def test_flags_decide(nvidia_smi):
    nvidia_smi(TWO)
    assert found("--use-cpu", "all") == ("cpu",)
    assert found("--device-id", "1") == ("cuda:1",)


@pytest.mark.parametrize(("output", "status"), [("NVIDIA-SMI has failed", 9), ("", 0), ("No devices were found", 6)])
def test_a_driver_without_gpus(nvidia_smi, output, status):
    nvidia_smi(output, status)
    assert found() == ("cpu",)


def test_torch_without_cuda(nvidia_smi, monkeypatch):
    nvidia_smi(TWO)
    monkeypatch.setattr(devices_module, "_torch_for_cpu", lambda: True)
    assert found() == ("cpu",)


def test_no_nvidia_smi(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(devices_module.sys, "platform", "linux")
    assert found() == ("cpu",)


def test_apple_silicon(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(devices_module.sys, "platform", "darwin")
    monkeypatch.setattr(devices_module.platform, "machine", lambda: "arm64")
    assert found() == ("mps",)
