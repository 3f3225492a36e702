"""Reading network files: what tries to run code, to fill the memory or to lie is refused; nothing of it happens."""

import importlib
import io
import marshal
import operator
import os
import pickle
import runpy
import shutil
import subprocess
import zipfile
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from modules.core.errors import InvalidModelFile
from modules.diffusion.adapters import hypernetwork, lora
from modules.diffusion.embeddings import load_embedding
from modules.diffusion.networks.tensors import read_pickle, read_tensors

READERS = {"embedding": load_embedding, "hypernetwork": hypernetwork.load, "lora": lora.load, "plain": read_pickle}


class Calls:
    """A pickle that calls something when it is read."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.reduced

    def __call__(self):
        """Only what can be called may be written as the thing to call."""


def payloads(canary):
    code = f"open({str(canary)!r}, 'w').close()"
    touch = f"touch {canary}"
    return {
        "os.system": Calls(os.system, touch),
        "os.popen": Calls(os.popen, touch),
        "os.mkdir": Calls(os.mkdir, str(canary)),
        "exec": Calls(exec, code),
        "eval": Calls(eval, code),
        "open": Calls(open, str(canary), "w"),
        "io.open": Calls(io.FileIO, str(canary), "w"),
        "subprocess": Calls(subprocess.check_call, ["touch", str(canary)]),
        "Popen": Calls(subprocess.Popen, touch, 0, None, None, None, None, None, True, True),
        "marshal": Calls(exec, Calls(marshal.loads, marshal.dumps(compile(code, "", "exec")))),
        "getattr": Calls(Calls(getattr, Calls(importlib.import_module, "os"), "system"), touch),
        "import": Calls(importlib.import_module, "antigravity"),
        "partial": Calls(partial(exec, code)),
        "methodcaller": Calls(operator.methodcaller("touch"), Path(canary)),
        "Path.touch": Calls(Path.touch, Path(canary)),
        "runpy": Calls(runpy.run_path, str(canary)),
        "shutil": Calls(shutil.copy, "/etc/hostname", str(canary)),
        "torch.save": Calls(torch.save, {}, str(canary)),
        "torch.load": Calls(torch.load, str(canary)),
        "torch.hub": Calls(torch.hub.load, "a/b", "c"),
        "a class of ours": Calls(Path),
        "module state": Calls(nn.Linear, 1, 1, state={"forward": Calls(os.system, touch)}),
    }


KINDS = sorted(payloads(Path("canary")))


def written(path, content, form):
    if form == "zip":
        torch.save(content, path)
    elif form == "legacy":
        torch.save(content, path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(pickle.dumps(content, protocol=form))
    return path


@pytest.mark.parametrize("kind", ["os.system", "exec", "open", "marshal", "getattr", "partial", "Path.touch"])
def test_the_payloads_are_real(tmp_path, kind):
    canary = tmp_path / "canary"
    pickle.loads(pickle.dumps(payloads(canary)[kind]))
    assert canary.exists()


@pytest.mark.parametrize("form", ["zip", "legacy", 0, 2, 4, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_in_a_file_is_run(tmp_path, kind, form):
    canary = tmp_path / "canary"
    path = written(tmp_path / "evil.pt", {"emb_params": torch.ones(1, 8), "x": [payloads(canary)[kind]]}, form)
    for reader in READERS.values():
        with pytest.raises(InvalidModelFile, match=r"evil\.pt"):
            reader(path)
        assert not canary.exists()


def test_a_pickle_that_calls_itself_safetensors_is_refused(tmp_path):
    path = written(tmp_path / "evil.safetensors", payloads(tmp_path / "canary")["exec"], 4)
    for reader in (load_embedding, hypernetwork.load, lora.load):
        with pytest.raises(InvalidModelFile):
            reader(path)
    assert not (tmp_path / "canary").exists()


def test_a_container_of_torch_cannot_be_filled_with_functions(tmp_path, capsys):
    """ParameterDict is allowed, as the first programs wrote it; its state is still numbers and names only."""
    inner = nn.ParameterDict({"*": nn.Parameter(torch.ones(1, 768))})
    inner.items = partial(print, "code was run")
    path = written(tmp_path / "evil.pt", {"string_to_param": inner}, "zip")
    with pytest.raises(InvalidModelFile):
        load_embedding(path)
    assert "code was run" not in capsys.readouterr().out


# Memory


def test_a_tensor_larger_than_its_file_is_refused(tmp_path):
    spread = torch.ones(1).expand(1 << 20, 1 << 20)
    for name, content in {
        "emb": {"emb_params": spread},
        "lora": {"a.lora_up.weight": spread, "a.lora_down.weight": spread},
        "hyper": {16: ({"linear.0.weight": spread}, {"linear.0.weight": spread})},
        "nested": [{"deep": (spread,)}],
    }.items():
        path = written(tmp_path / f"{name}.pt", content, "zip")
        assert path.stat().st_size < 10_000
        for reader in READERS.values():
            with pytest.raises(InvalidModelFile, match=f"{name}.pt was refused: it claims to hold more numbers"):
                reader(path)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(3, device="meta"),
        torch.eye(3).to_sparse(),
        torch.quantize_per_tensor(torch.ones(3), 1.0, 0, torch.qint8),
    ],
    ids=["without memory", "sparse", "quantized"],
)
def test_tensors_of_other_kinds_are_refused(tmp_path, tensor):
    path = written(tmp_path / "odd.pt", {"emb_params": tensor}, "zip")
    with pytest.raises(InvalidModelFile, match=r"odd\.pt"):
        read_pickle(path)


def test_a_compressed_file_is_refused_before_it_is_unpacked(tmp_path):
    plain = written(tmp_path / "plain.pt", {"emb_params": torch.zeros(1024, 4096)}, "zip")
    with zipfile.ZipFile(plain) as archive, zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for one in archive.infolist():
            packed.writestr(one.filename, archive.read(one))
    assert (tmp_path / "bomb.pt").stat().st_size < plain.stat().st_size / 100
    assert read_pickle(plain)
    with pytest.raises(InvalidModelFile, match=r"bomb\.pt is damaged, or holds more than numbers"):
        read_pickle(tmp_path / "bomb.pt")


def test_a_container_that_contains_itself_is_looked_into_once(tmp_path):
    content = {"emb_params": torch.ones(1, 768)}
    content["itself"] = [content]
    path = written(tmp_path / "ring.pt", content, "zip")
    assert load_embedding(path)["clip_l"].shape == (1, 768)


# Damage


@pytest.mark.parametrize("form", ["zip", "legacy", 4])
def test_a_file_cut_anywhere_is_refused_with_a_sentence(tmp_path, form):
    whole = written(tmp_path / "whole.pt", {"emb_params": torch.ones(2, 768)}, form).read_bytes()
    path = tmp_path / "cut.pt"
    for end in range(0, len(whole) - 1, max(1, len(whole) // 40)):
        path.write_bytes(whole[:end])
        with pytest.raises(InvalidModelFile, match=r"cut\.pt"):
            load_embedding(path)


@pytest.mark.parametrize("form", ["zip", "legacy", 4, "safetensors"])
def test_a_file_with_a_wrong_byte_is_read_or_refused_with_a_sentence(tmp_path, form):
    content = {"emb_params": torch.ones(1, 64)}
    path = tmp_path / ("bent.safetensors" if form == "safetensors" else "bent.pt")
    save_file(content, path) if form == "safetensors" else written(path, content, form)
    whole, refused = path.read_bytes(), 0
    for place in range(0, len(whole), max(1, len(whole) // 150)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            load_embedding(path)
        except InvalidModelFile as error:
            assert "bent" in str(error)
            refused += 1
    assert refused


def test_numbers_of_a_type_that_torch_does_not_know_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.ones(8, dtype=torch.uint8)}, path)
    path.write_bytes(path.read_bytes().replace(b'"U8"', b'"F4"').replace(b"[8]", b"[4]"))
    with pytest.raises(InvalidModelFile, match=r"x\.safetensors"):
        read_tensors(path)
