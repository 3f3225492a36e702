"""Models on disk: scanned by header, found under every name, hashed, odd files included."""

import hashlib
import json
import os
import sys

import pytest
from services.small_things import eventually, write_checkpoint

from modules.core.errors import UnknownName
from modules.core.flags import parse_flags
from modules.core.places import Places
from modules.services import library as library_module
from modules.services.library import Library


@pytest.fixture
def folder(places):
    return places.models / "Stable-diffusion"


@pytest.fixture
def library(places, folder, monkeypatch):
    """A function that scans the folder; the clone's own models are left out."""
    monkeypatch.setattr(Places, "checkpoint_folders", property(lambda self: (self.models / "Stable-diffusion",)))

    def scanned(places=places) -> Library:
        return Library(places, places.cache / "hashes.json")

    return scanned


def test_what_the_header_says(library, folder):
    metadata = {
        "modelspec.title": "My model",
        "modelspec.description": "Draws cats.",
        "modelspec.resolution": "768x512",
        "modelspec.architecture": "stable-diffusion-v1",
    }
    path = write_checkpoint(folder / "sub" / "cats v1.safetensors", metadata)
    (record,) = library().models()
    assert (record.name, record.title) == ("sub/cats v1", "sub/cats v1.safetensors")
    assert (record.path, record.size) == (str(path), path.stat().st_size)
    assert (record.display_name, record.description) == ("My model", "Draws cats.")
    assert (record.width, record.height, record.problem) == (768, 512, "")


@pytest.mark.parametrize("resolution", ["", "big", "0x0x0", "99999x2", "512"])
def test_odd_resolutions_are_512(library, folder, resolution):
    write_checkpoint(folder / "a.safetensors", {"modelspec.resolution": resolution})
    assert (library().models()[0].width, library().models()[0].height) == (512, 512)


def test_no_folder_is_no_model(library):
    assert library().models() == ()


def test_unusable_files_are_listed_with_the_reason(library, folder):
    """Rows 21 and 22: nothing but the header is read, a pickle never."""
    good = write_checkpoint(folder / "good.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(good[:-3])
    (folder / "empty.safetensors").touch()
    (folder / "huge header.safetensors").write_bytes((2**63).to_bytes(8, "little") + b"{}")
    (folder / "no json.safetensors").write_bytes((2).to_bytes(8, "little") + b"{[")
    (folder / "zip.safetensors").write_bytes(b"PK\x03\x04" + bytes(100))
    (folder / "old.ckpt").write_bytes(b"PK\x03\x04" + bytes(100))
    problems = {record.name: record.problem for record in library().models()}
    assert problems.pop("good") == ""
    assert len(problems) == 6
    assert all(problem.endswith(".") for problem in problems.values())
    assert "cut off" in problems["cut"]
    assert "pickle" in problems["old"]
    assert "pickle" in problems["zip"]


NAMES = ["日本語", "עברית", "🐱‍🚀", "new\nline", "<img src=x onerror=alert(1)>", "a..b", "a" * 243, "%2e%2e", "-rf"]


@pytest.mark.parametrize("name", NAMES)
def test_odd_names_are_listed_and_found(library, folder, name):
    """Row 25."""
    write_checkpoint(folder / f"{name}.safetensors")
    shelf = library()
    (record,) = shelf.models()
    assert (record.name, record.problem) == (name, "")
    assert shelf.find(record.title) == record
    assert shelf.with_hash(record).sha256


@pytest.mark.skipif(sys.platform != "linux", reason="only there a name may be any bytes")
def test_a_name_that_is_no_text(library, folder):
    folder.mkdir(parents=True)
    source = write_checkpoint(folder / "x.safetensors")
    os.rename(os.fsencode(source), os.fsencode(folder) + b"/caf\xe9.safetensors")
    (record,) = library().models()
    assert record.name == "caf?"
    record.title.encode()
    assert os.path.exists(record.path)


def test_found_under_every_name(library, folder):
    path = write_checkpoint(folder / "sub" / "Cats.safetensors")
    write_checkpoint(folder / "dogs.safetensors")
    shelf = library()
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    hashed = shelf.with_hash(shelf.find("Cats"))
    assert hashed.title == f"sub/Cats.safetensors [{sha256[:10]}]"
    for name in (
        hashed.title,
        "sub/Cats.safetensors",
        "Cats.safetensors",
        "sub/Cats",
        "Cats",
        "cats",
        sha256[:10],
        sha256,
        f"sub/Cats [{sha256[:10]}]",
    ):
        assert shelf.find(name) == hashed, name


@pytest.mark.parametrize("name", ["", "bird", "../dogs", "/etc/passwd", "dogs\0", "dogs [0123456789]", "x" * 100_000])
def test_not_found(library, folder, name):
    write_checkpoint(folder / "dogs.safetensors")
    shelf = library()
    shelf.with_hash(shelf.find("dogs"))
    with pytest.raises(UnknownName, match="no model is called"):
        shelf.find(name)


def test_a_hash_that_is_not_known_yet_is_not_doubted(library, folder):
    write_checkpoint(folder / "dogs.safetensors")
    assert library().find("dogs.safetensors [0123456789]").name == "dogs"


def test_meant_another(library, folder):
    write_checkpoint(folder / "dreamshaper_8.safetensors")
    with pytest.raises(UnknownName, match="did you mean 'dreamshaper_8"):
        library().find("dreamshaper")


def test_refresh_sees_new_changed_and_removed_files(library, folder):
    path = write_checkpoint(folder / "a.safetensors", {"modelspec.title": "one"})
    shelf = library()
    old = shelf.with_hash(shelf.find("a"))
    write_checkpoint(folder / "b.safetensors")
    write_checkpoint(path, {"modelspec.title": "two!"})
    assert [record.name for record in shelf.refresh()] == ["a", "b"]
    assert (shelf.find("a").display_name, shelf.find("a").sha256) == ("two!", "")
    assert shelf.with_hash(shelf.find("a")).sha256 not in ("", old.sha256)
    path.unlink()
    assert [record.name for record in shelf.refresh()] == ["b"]


def test_hashes_are_kept_in_a_file(library, folder, places, monkeypatch):
    write_checkpoint(folder / "a.safetensors")
    shelf = library()
    sha256 = shelf.with_hash(shelf.find("a")).sha256
    monkeypatch.setattr(library_module, "sha256", None)  # would fail when called
    again = library()
    assert again.find("a").sha256 == sha256
    assert again.models()[0].title.endswith(f"[{sha256[:10]}]")


@pytest.mark.parametrize("content", ["", "[", "{}", "[[1]]", "null", json.dumps([["a", 1, 2, 3, 4]])])
def test_a_damaged_file_of_hashes_is_no_matter(library, folder, places, content):
    write_checkpoint(folder / "a.safetensors")
    places.cache.mkdir()
    (places.cache / "hashes.json").write_text(content)
    shelf = library()
    assert shelf.with_hash(shelf.find("a")).sha256


def test_hashing_in_the_background(library, folder):
    for name in "abc":
        write_checkpoint(folder / f"{name}.safetensors", side=ord(name))
    shelf = library()
    shelf.start_hashing()
    eventually(lambda: all(record.sha256 for record in shelf.models()))
    write_checkpoint(folder / "d.safetensors")
    shelf.refresh()
    eventually(lambda: shelf.find("d").sha256)
    shelf.close()


def test_a_file_that_goes_away_while_it_is_hashed(library, folder, monkeypatch):
    """Row 24."""
    path = write_checkpoint(folder / "a.safetensors")
    shelf = library()
    record = shelf.find("a")
    path.unlink()
    assert shelf.with_hash(record).sha256 == ""
    write_checkpoint(path, {"modelspec.title": "another file"})
    assert shelf.with_hash(record).sha256 == ""


def test_ckpt_and_its_folders(library, tmp_path, places):
    outside = write_checkpoint(tmp_path / "elsewhere" / "mine.safetensors")
    write_checkpoint(places.models / "Stable-diffusion" / "a.safetensors")
    flags = parse_flags(["--data-dir", str(places.data), "--ckpt", str(outside)], {})
    shelf = library(Places.of(flags))
    assert [record.name for record in shelf.models()] == ["mine", "a"]


def test_one_file_twice_is_listed_once(library, folder):
    path = write_checkpoint(folder / "a.safetensors")
    (folder / "link.safetensors").symlink_to(path)
    (folder / "dangling.safetensors").symlink_to(folder / "nothing")
    (folder / "folder.safetensors").mkdir()
    assert [record.name for record in library().models()] == ["a"]


def test_the_starter_is_listed_from_the_clone(places):
    assert any("models/Stable-diffusion" in folder.as_posix() for folder in places.checkpoint_folders)
    Library(places, places.cache / "hashes.json")
