"""Reading and writing safetensors files: against the safetensors library, and against everything that can be wrong."""

import io
import json
import pickle
import random
import struct
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from modules.core.errors import InvalidModelFile, StorageFailed
from modules.core.tensorfile import read_header
from modules.families import single_file

SOME = {
    "half": torch.arange(6, dtype=torch.float16).reshape(2, 3),
    "full": torch.tensor([[1.5, -2.0]]),
    "brain": torch.tensor([1.0, 3.0], dtype=torch.bfloat16),
    "one": torch.tensor(7, dtype=torch.int64),
    "none": torch.zeros((0, 4)),
    "eighth": torch.tensor([1.0, 2.0]).to(torch.float8_e4m3fn),
    "yes": torch.tensor([True, False]),
}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    alike = (one[name].dtype == other[name].dtype and one[name].float().equal(other[name].float()) for name in other)
    return one.keys() == other.keys() and all(alike)


def test_it_reads_what_safetensors_writes(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    safetensors.torch.save_file(SOME, path, {"format": "pt"})
    header, found = single_file.load(path)
    assert same(found, SOME)
    assert header.metadata == {"format": "pt"}


def test_safetensors_reads_what_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "some.safetensors"
    single_file.save(path, SOME, {"title": "Größe"})
    assert same(safetensors.torch.load_file(path), SOME)
    assert read_header(path).metadata == {"title": "Größe"}
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_tensor_that_is_not_contiguous_is_written_in_order(tmp_path: Path) -> None:
    turned = torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)
    single_file.save(tmp_path / "a.safetensors", {"turned": turned, "t": torch.arange(6).reshape(2, 3).t()}, {})
    found = safetensors.torch.load_file(tmp_path / "a.safetensors")
    assert found["turned"].equal(turned)
    assert found["t"].equal(torch.arange(6).reshape(2, 3).t())


def test_everything_can_be_written_as_one_number_type(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    some = {name: tensor for name, tensor in SOME.items() if tensor.is_floating_point()}
    single_file.save(path, some, {}, number=torch.float16)
    found = safetensors.torch.load_file(path)
    assert {one.dtype for one in found.values()} == {torch.float16}
    assert all(found[name].equal(tensor.half()) for name, tensor in some.items())


def test_only_what_is_named_is_read(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    single_file.save(path, SOME, {})
    found = dict(single_file.tensors(path, read_header(path), {"one", "full"}))
    assert same(found, {"one": SOME["one"], "full": SOME["full"]})


def test_what_was_read_survives_the_file(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    single_file.save(path, SOME, {})
    _, found = single_file.load(path)
    path.write_bytes(b"")  # a mapped file would end the process with a bus error now
    assert same(found, SOME)


def test_a_file_that_shrinks_between_header_and_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    single_file.save(path, {"a": torch.zeros(1000)}, {})
    header = read_header(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InvalidModelFile, match="became shorter"):
        dict(single_file.tensors(path, header))


def test_a_file_that_vanishes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    single_file.save(path, {"a": torch.zeros(10)}, {})
    header = read_header(path)
    path.unlink()
    with pytest.raises(InvalidModelFile, match="could not be read"):
        dict(single_file.tensors(path, header))


def test_numbers_without_a_type_in_torch_are_named(tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(file_of({"w": {"dtype": "F8_E8M0", "shape": [4], "data_offsets": [0, 4]}}, b"\0" * 4))
    with pytest.raises(InvalidModelFile, match="'w' as F8_E8M0"):
        single_file.load(path)


def test_a_disk_that_refuses_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(StorageFailed, match=r"folder\.safetensors could not be written"):
        single_file.save(tmp_path / "folder.safetensors", SOME, {})
    assert [one.name for one in tmp_path.iterdir()] == ["folder.safetensors"]


# What can be wrong -------------------------------------------------------------------------------------------------------


def file_of(table: Any, content: bytes) -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + content


def entry(begin: Any = 0, end: Any = 8, shape: Any = (2,), kind: Any = "F32") -> dict[str, Any]:
    return {
        "dtype": kind,
        "shape": shape if not isinstance(shape, tuple) else list(shape),
        "data_offsets": [begin, end],
    }


class Canary:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("canary-was-run", "w")


def torch_archive() -> bytes:
    buffer = io.BytesIO()
    torch.save({"state_dict": {"w": torch.zeros(2)}}, buffer)
    return buffer.getvalue()


EIGHT = b"\0" * 8
BROKEN: dict[str, bytes] = {
    "empty": b"",
    "seven bytes": b"\1" * 7,
    "length 2^63": struct.pack("<Q", 2**63) + b"{}",
    "length 2^64 - 1": struct.pack("<Q", 2**64 - 1) + b"{}",
    "header longer than the file": struct.pack("<Q", 1000) + b"{}",
    "length 0": struct.pack("<Q", 0),
    "no JSON": file_of(b"hello", b""),
    "no UTF-8": file_of(b'{"\xff": 1}', b""),
    "a list": file_of([], b""),
    "a number": file_of(5, b""),
    "deep JSON": file_of(b"[" * 200_000, b""),
    "an entry that is no table": file_of({"w": 5}, EIGHT),
    "no offsets": file_of({"w": {"dtype": "F32", "shape": [2]}}, EIGHT),
    "unknown numbers": file_of({"w": entry(kind="F1")}, EIGHT),
    "numbers that are a list": file_of({"w": entry(kind=["F32"])}, EIGHT),
    "a negative side": file_of({"w": entry(shape=(-2, -1))}, EIGHT),
    "a side of 2^62": file_of({"w": entry(shape=(2**62, 4))}, EIGHT),
    "a side that is text": file_of({"w": entry(shape=("2",))}, EIGHT),
    "a side that is no whole number": file_of({"w": entry(shape=(2.0,))}, EIGHT),
    "a shape that is a number": file_of({"w": entry(shape=2)}, EIGHT),
    "seventeen sides": file_of({"w": entry(shape=(2, *[1] * 16))}, EIGHT),
    "offsets backwards": file_of({"w": entry(8, 0)}, EIGHT),
    "offsets beyond the file": file_of({"w": entry(0, 8), "v": entry(8, 16)}, EIGHT),
    "a negative offset": file_of({"w": entry(-8, 0)}, EIGHT),
    "overlapping": file_of({"w": entry(0, 8), "v": entry(4, 12)}, EIGHT + b"\0" * 4),
    "the same bytes twice": file_of({"w": entry(), "v": entry()}, EIGHT),
    "a gap": file_of({"w": entry(0, 8), "v": entry(16, 24)}, b"\0" * 24),
    "bytes left over": file_of({"w": entry()}, EIGHT * 2),
    "a shape of another size": file_of({"w": entry(shape=(3,))}, EIGHT),
    "a name twice": file_of(b'{"w": {}, "w": {}}', b""),
    "metadata that is text": file_of({"__metadata__": "hello", "w": entry()}, EIGHT),
    "metadata that is a number": file_of({"__metadata__": 5, "w": entry()}, EIGHT),
    "a hundred thousand and one tensors": file_of({str(i): 0 for i in range(100_001)}, b""),
    "a header of 17 MB": struct.pack("<Q", 17 << 20) + b" " * (17 << 20),
    "a zip": torch_archive(),
    **{f"pickle, protocol {protocol}": pickle.dumps(Canary(), protocol) for protocol in range(6)},
    "pickle, padded": pickle.dumps(Canary()) + b"\0" * 100_000,
    "marshal-like": b"\xe3" + b"\0" * 100,
    "HTML, as a failed download": b"<!DOCTYPE html><html><body>404</body></html>",
    "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_refused_with_a_sentence(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "broken.safetensors"
    path.write_bytes(BROKEN[what])
    started = time.process_time()
    with pytest.raises(InvalidModelFile) as refusal:
        single_file.load(path)
    assert time.process_time() - started < 5  # generous; the point is that nothing of the announced size is made
    assert "broken.safetensors" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "canary-was-run").exists()


def test_cut_and_bent_files_are_refused_or_read_but_never_anything_else(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    single_file.save(path, SOME, {"a": "b"})
    whole = path.read_bytes()
    chance = random.Random(0)
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InvalidModelFile):
            single_file.load(path)
    for _ in range(400):
        bent = bytearray(whole)
        bent[chance.randrange(len(bent))] ^= 1 << chance.randrange(8)
        path.write_bytes(bent)
        try:
            single_file.load(path)
        except InvalidModelFile as refusal:
            assert path.name in str(refusal)
