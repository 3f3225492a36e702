"""Short hashes: of the tensors alone, or what the metadata says; of the whole file for everything but LoRA."""

import hashlib
import json
import struct

import pytest

from modules.core.errors import InvalidModelFile
from modules.core.nethash import short_hash

NUMBERS = bytes(range(16))


def write(path, metadata):
    table = {"__metadata__": metadata, "a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    header = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + NUMBERS)
    return path


def test_a_loras_hash_is_of_its_tensors_alone(tmp_path):
    expected = hashlib.sha256(NUMBERS).hexdigest()[:12]
    assert short_hash(write(tmp_path / "a.safetensors", {"title": "one"})) == expected
    assert short_hash(write(tmp_path / "b.safetensors", {"title": "another title"})) == expected


def test_the_metadata_may_say_it(tmp_path):
    path = write(tmp_path / "a.safetensors", {"sshs_model_hash": "ABCDEF0123456789" * 4})
    assert short_hash(path) == "abcdef012345"


@pytest.mark.parametrize("nonsense", ["", "abc", "not a hash at all: no digits", "zz" * 32])
def test_nonsense_in_the_metadata_counts_for_nothing(tmp_path, nonsense):
    path = write(tmp_path / "a.safetensors", {"sshs_model_hash": nonsense})
    assert short_hash(path) == hashlib.sha256(NUMBERS).hexdigest()[:12]


def test_an_embeddings_hash_is_of_the_whole_file(tmp_path):
    path = write(tmp_path / "a.safetensors", {"sshs_model_hash": "ab" * 32})
    assert short_hash(path, "embedding") == hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def test_a_pickle_is_hashed_as_bytes_whatever_its_kind(tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(b"PK anything")
    assert short_hash(path) == hashlib.sha256(b"PK anything").hexdigest()[:12]


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(InvalidModelFile, match=r"gone\.pt could not be read"):
        short_hash(tmp_path / "gone.pt")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10")
    with pytest.raises(InvalidModelFile, match="cut off"):
        short_hash(tmp_path / "cut.safetensors")
