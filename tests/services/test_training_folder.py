"""Folders on the server as pictures to train on: captions beside them, kohya's folders, and who may read what."""

import io
import logging
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from modules.core.errors import InvalidRequest
from modules.core.flags import parse_flags
from modules.core.places import Places
from modules.services.inputs import Inputs
from modules.services.training.picture_folder import FolderImport


def write_picture(path, number, format="PNG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32), (number * 7 % 256, number * 31 % 256, 90)).save(path, format)
    return path


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def reader(data):
    """A function: flags to the import of a server that was started with them."""

    def made(*flags):
        known = parse_flags(["--data-dir", str(data), *flags], {})
        return FolderImport(Inputs(data / "inputs"), Places.of(known), known)

    return made


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cat pictures"


def refused(reader, path, *flags):
    with pytest.raises(InvalidRequest) as raised:
        reader(*flags).read(str(path))
    (problem,) = raised.value.problems
    assert problem.field == "folder"
    return problem.message


# What is read --------------------------------------------------------------------------------------------------------------


def test_pictures_in_their_order_with_captions(reader, folder):
    for number in (10, 9, 1):
        write_picture(folder / f"cat {number}.png", number)
    (folder / "cat 1.txt").write_text("﻿a photo of sks cat,\n asleep \n", encoding="utf-8")
    (folder / "cat 9.caption").write_bytes("sks cat in snow".encode("utf-16"))
    found = reader().read(str(folder))
    assert [one.name for one in found.pictures] == ["cat 1.png", "cat 9.png", "cat 10.png"]
    assert [one.caption for one in found.pictures] == ["a photo of sks cat, asleep", "sks cat in snow", ""]
    assert [one.source for one in found.pictures] == ["txt", "caption", "none"]
    assert found.captions == {"txt": 1, "caption": 1, "filename": 0, "folder": 0, "none": 1}
    assert found.remarks == ()
    assert len({one.id for one in found.pictures}) == 3


def test_what_is_no_picture_is_named(reader, folder):
    write_picture(folder / "a.png", 1)
    write_picture(folder / "b.gif", 2, "GIF")
    (folder / "c.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("about them")
    (folder / "d.psd").write_bytes(b"8BPS")
    (folder / "a.npz").write_bytes(b"PK")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "more").mkdir()
    found = reader().read(str(folder))
    assert [one.name for one in found.pictures] == ["a.png"]
    folders, unread, others = found.remarks
    assert folders == "1 folder is not looked into: more."
    assert unread.startswith("2 files cannot be read: b.gif (GIF pictures cannot be worked on; send")
    assert "c.jpg (This is no picture" in unread
    assert others == "2 files are no pictures: d.psd, notes.txt."


def test_both_kinds_of_captions(reader, folder):
    write_picture(folder / "a.png", 1)
    (folder / "a.txt").write_text("from txt")
    (folder / "a.caption").write_text("from caption")
    write_picture(folder / "b.png", 2)
    (folder / "b.png.txt").write_text("x" * 3000)
    found = reader().read(str(folder))
    assert (found.pictures[0].caption, found.pictures[0].source) == ("from txt", "txt")
    assert len(found.pictures[1].caption) == 2000
    assert found.remarks == (
        "a.png has a .txt and a .caption that differ; the .txt is taken.",
        "The caption of b.png is cut after 2,000 characters.",
    )


def test_names_that_are_sentences(reader, folder):
    write_picture(folder / "sks_cat_on_grass (1).png", 1)
    write_picture(folder / "sks cat asleep.png", 2)
    assert [one.caption for one in reader().read(str(folder)).pictures] == ["sks cat asleep", "sks cat on grass"]
    write_picture(folder / "IMG_0042.jpg", 3, "JPEG")
    assert {one.source for one in reader().read(str(folder)).pictures} == {"none"}


# Kohya's folders -----------------------------------------------------------------------------------------------------------


def test_numbered_folders_are_explained_and_counted(reader, folder):
    write_picture(folder / "10_sks cat" / "a.png", 1)
    write_picture(folder / "20_sks cat" / "b.png", 2)
    (folder / "20_sks cat" / "b.txt").write_text("sks cat, close up")
    found = reader().read(str(folder))
    assert [one.name for one in found.pictures] == ["10_sks cat/a.png", "20_sks cat/b.png", "20_sks cat/b.png"]
    assert [one.caption for one in found.pictures] == ["sks cat", "sks cat, close up", "sks cat, close up"]
    assert (found.identifier, found.class_noun) == ("sks", "cat")
    assert found.captions["folder"] == found.captions["txt"] == 1
    first, second = found.remarks
    assert "10 repeats of 'sks cat'" in first
    assert first.endswith("each of its pictures counts once.")
    assert second.endswith("each of its pictures counts 2 times.")


def test_kohyas_own_tool_puts_them_deeper(reader, folder):
    write_picture(folder / "img" / "15_dog" / "a.png", 1)
    (folder / "log").mkdir()
    found = reader().read(str(folder))
    assert [one.name for one in found.pictures] == ["15_dog/a.png"]
    assert (found.identifier, found.class_noun) == ("", "dog")
    assert len(reader().read(str(folder / "img" / "15_dog")).pictures) == 1


def test_a_numbered_folder_itself(reader, folder):
    write_picture(folder / "15_sks dog" / "a.png", 1)
    found = reader().read(str(folder / "15_sks dog"))
    assert (found.identifier, found.class_noun, found.pictures[0].caption) == ("sks", "dog", "sks dog")


def test_two_subjects(reader, folder):
    write_picture(folder / "1_sks cat" / "a.png", 1)
    write_picture(folder / "1_ohwx dog" / "a.png", 2)
    found = reader().read(str(folder))
    assert (found.identifier, found.class_noun) == ("", "")
    assert len(found.pictures) == 2


# What is refused -----------------------------------------------------------------------------------------------------------


def test_folders_that_are_none(reader, folder, tmp_path):
    folder.mkdir()
    assert refused(reader, "") == "Name a folder on the server."
    assert "There is no folder" in refused(reader, tmp_path / "missing")
    assert refused(reader, "a\0b") == "Name a folder on the server."
    assert "There are no pictures" in refused(reader, folder)
    (folder / "a.png").write_bytes(b"text")
    assert "None of the files" in refused(reader, folder)
    assert "There is no folder" in refused(reader, folder / "a.png")


def test_too_many(reader, folder, monkeypatch):
    for number in range(4):
        write_picture(folder / f"{number}.png", number)
    monkeypatch.setattr("modules.services.training.picture_folder.MOST_PICTURES", 3)
    assert "at most 3 are read" in refused(reader, folder)
    monkeypatch.setattr("modules.services.training.files.MOST_ENTRIES", 3)
    assert "more than 3 files" in refused(reader, folder)


def test_special_files_do_not_hold_anybody_up(reader, folder):
    write_picture(folder / "a.png", 1)
    os.mkfifo(folder / "b.png")
    assert [one.name for one in reader().read(str(folder)).pictures] == ["a.png"]


SHARED = [("--gradio-auth", "a:b"), ("--listen", "--gradio-auth", "a:b"), ("--nowebui", "--api-auth", "a:b")]


@pytest.mark.parametrize("flags", SHARED)
def test_where_people_log_in_only_one_folder_is_open(reader, folder, data, flags):
    write_picture(folder / "a.png", 1)
    write_picture(data / "training-data" / "cat" / "b.png", 2)
    write_picture(data / "outputs" / "private.png", 3)
    closed = refused(reader, folder, *flags)
    assert "read from 'training-data' in its data directory only" in closed
    for other in (folder / "missing", data / "outputs", data / "training-data" / ".." / "outputs", "/etc", "~", ".."):
        assert refused(reader, other, *flags) == closed  # nothing is said of what is there
    open_reader = reader(*flags)
    assert not open_reader.free
    for path in ("cat", data / "training-data" / "cat"):
        assert [one.name for one in open_reader.read(str(path)).pictures] == ["b.png"]


def test_links_an_administrator_put_there_are_open_others_are_not(reader, folder, data):
    write_picture(folder / "a.png", 1)
    inside = data / "training-data" / "mine"
    write_picture(inside / "b.png", 2)
    (inside / "stolen.png").symlink_to(folder / "a.png")
    (inside / "b.txt").symlink_to(write_text(folder / "secret.txt"))
    (inside / "5_deeper").symlink_to(folder)
    shared = reader("--gradio-auth", "a:b")
    found = shared.read("mine")
    assert [(one.name, one.caption) for one in found.pictures] == [("b.png", "")]
    (data / "training-data" / "linked").symlink_to(folder)
    assert [one.name for one in shared.read("linked").pictures] == ["a.png"]


def write_text(path):
    path.write_text("secret")
    return path


def test_reading_is_logged(reader, folder, caplog):
    write_picture(folder / "a.png", 1)
    with caplog.at_level(logging.INFO, "modules.services.training.picture_folder"):
        reader().read(str(folder))
    assert str(folder) in caplog.text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60))
def test_any_path_is_a_sentence(reader, path):
    for flags in ((), SHARED[0]):
        try:
            assert reader(*flags).read(path).pictures
        except InvalidRequest as error:
            assert str(error).endswith(".")


def test_files_are_stored_as_uploads_are(reader, folder, data):
    path = write_picture(folder / "a.png", 1)
    (kept,) = reader().read(str(folder)).pictures
    assert (data / "inputs" / kept.id).read_bytes() == path.read_bytes()
    assert Image.open(io.BytesIO(path.read_bytes())).size == (32, 32)
