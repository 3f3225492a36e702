"""Files are whole or not there; paths do not leave their folder; headers are checked before memory is taken."""

import errno
import json
import os
import pickle
import random
import struct

import pytest
from safetensors.numpy import save_file

from modules.core.errors import InvalidModelFile, InvalidOption, NotFound, StorageFailed
from modules.core.files import inside, leftovers, write_atomically
from modules.core.settings import Setting
from modules.core.tensorfile import read_header


def test_a_file_is_written_whole(tmp_path):
    target = tmp_path / "deep" / "a.png"
    write_atomically(target, b"one")
    write_atomically(target, b"two")
    assert target.read_bytes() == b"two"
    assert list(leftovers(tmp_path)) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file(tmp_path, monkeypatch, call):
    target = tmp_path / "a.png"
    write_atomically(target, b"old")

    def fails(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fails)
    with pytest.raises(StorageFailed, match="a.png could not be written: No space left"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(leftovers(tmp_path)) == []


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a\0b", "link", "no-such", "x" * 5000, "loop"])
def test_a_path_stays_inside(tmp_path, name):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("s")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(NotFound):
        inside(root, name)


def test_a_file_inside_is_found(tmp_path):
    (tmp_path / "ö 猫.png").write_bytes(b"")
    assert inside(tmp_path, "ö 猫.png").name == "ö 猫.png"


@pytest.fixture
def sound(tmp_path):
    import numpy

    path = tmp_path / "m.safetensors"
    save_file({"a.weight": numpy.ones((3, 4), "float16"), "b": numpy.zeros(5, "float32")}, path, {"title": "T"})
    return path


def test_a_header_tells_names_shapes_and_metadata(sound):
    header = read_header(sound)
    assert dict(header.shapes) == {"a.weight": (3, 4), "b": (5,)}
    assert dict(header.kinds) == {"a.weight": "F16", "b": "F32"}
    assert dict(header.metadata) == {"title": "T"}


def with_header(path, table, body=b"\0" * 8):
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def entry(begin=0, end=8, shape=(2,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"a": entry(end=4)}, "size does not fit"),
        ({"a": entry(), "b": entry()}, "overlap or leave gaps"),
        ({"a": entry(begin=4, end=12)}, "overlap or leave gaps"),
        ({"a": entry(shape=(2, 2), end=16)}, "cut off or damaged: 16 bytes"),
        ({"a": entry(shape=(-2,))}, "not a reasonable number"),
        ({"a": entry(shape=(1 << 60,))}, "not a reasonable number"),
        ({"a": entry(dtype="F99")}, "cannot be"),
        ({"a": {"dtype": "F32"}}, "cannot be"),
        ({"a": 3}, "cannot be"),
        ([], "not a table"),
        (b'{"a": {}, "a": {}}', "not valid JSON"),
        (b"{" * 100_000, "not valid JSON"),
        (b"\xff\xfe\xfd", "not valid JSON"),
    ],
)
def test_an_impossible_header_is_refused_with_a_sentence(tmp_path, table, sentence):
    with pytest.raises(InvalidModelFile, match=sentence):
        read_header(with_header(tmp_path / "m.safetensors", table))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "empty or cut off"),
        (b"1234", "empty or cut off"),
        (struct.pack("<Q", 2**63) + b"{}", "its header would be 9,223,372,036,854,775,808 bytes"),
        (struct.pack("<Q", 100 << 20) + b"{}", "cut off"),
        (b"PK\x03\x04" + b"\0" * 30, "could run code"),
        (pickle.dumps({"a": 1}, protocol=2) + b"\0" * 30, "could run code"),
        (pickle.dumps({"a": 1}, protocol=5) + b"\0" * 30, "could run code"),
    ],
)
def test_what_is_no_safetensors_file_is_refused(tmp_path, content, sentence):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(InvalidModelFile, match=sentence):
        read_header(path)


@pytest.mark.parametrize("length", [0x80, 0x280, 0x4B50])
def test_a_length_that_begins_like_a_pickle_or_a_zip_is_no_pickle(tmp_path, length):
    text = json.dumps({"a": entry()}).encode().ljust(length)
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", length) + text + b"\0" * 8)
    assert read_header(path).shapes == {"a": (2,)}


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(InvalidModelFile, match=r"gone.safetensors could not be read: No such file"):
        read_header(tmp_path / "gone.safetensors")


def test_three_hundred_mutations_never_crash(sound, tmp_path):
    """Flip or cut bytes of a sound file: it is read or refused, nothing else."""
    rng, whole = random.Random(0), sound.read_bytes()
    for _ in range(300):
        content = bytearray(whole[: rng.choice([len(whole), rng.randrange(len(whole))])])
        for _ in range(rng.randrange(1, 4)):
            if content:
                content[rng.randrange(len(content))] = rng.randrange(256)
        mutated = tmp_path / "mutated.safetensors"
        mutated.write_bytes(content)
        try:
            assert len(read_header(mutated).shapes) <= 2
        except InvalidModelFile as refusal:
            assert "mutated.safetensors" in str(refusal)


@pytest.mark.parametrize(
    ("default", "value", "expected"), [(80, "90", 90), (1.5, 2, 2.0), (True, "False", False), ("a", "b", "b")]
)
def test_a_setting_takes_its_own_type(default, value, expected):
    checked = Setting(name="s", default=default, label="S").checked(value)
    assert (checked, type(checked)) == (expected, type(default))


@pytest.mark.parametrize(
    ("known", "value"),
    [({"maximum": 100}, 101), ({"minimum": 1}, 0), ({}, "x"), ({}, None), ({"maximum": 9}, float("nan"))],
)
def test_a_setting_refuses_what_it_cannot_be(known, value):
    with pytest.raises(InvalidOption, match="setting s is"):
        Setting(name="s", default=80, label="S", **known).checked(value)


def test_a_setting_with_fixed_values_names_them():
    with pytest.raises(InvalidOption, match="must be one of png, jpg"):
        Setting(name="s", default="png", label="S", options=("png", "jpg")).checked("gif")
    with pytest.raises(InvalidOption, match="of type bool"):
        Setting(name="s", default=True, label="S").checked("perhaps")
