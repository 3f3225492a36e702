"""Pictures: whole, once, found again, and only inside their folder."""

import os
import time
from pathlib import Path

import pytest
from services.small_things import drawn

from modules.core import files
from modules.core.errors import NotFound, StorageFailed
from modules.core.requests import EditRequest, ImageRequest, UpscaleRequest
from modules.services import gallery as gallery_module
from modules.services.gallery import DAY, Gallery
from modules.storage import pictures as rows

NOON = time.mktime((2026, 3, 1, 12, 0, 0, 0, 0, -1))


@pytest.fixture
def gallery(store, places) -> Gallery:
    return Gallery(store, places, clock=lambda: NOON)


@pytest.fixture
def job(queue):
    return queue.submit("image", ImageRequest(), owner="ann")


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_where_pictures_lie(gallery, job, places):
    first, second = gallery.keep(drawn(job.id, 0, 5), job), gallery.keep(drawn(job.id, 1, 6), job)
    assert (first.path, second.path) == (
        "txt2img-images/2026-03-01/00000-5.png",
        "txt2img-images/2026-03-01/00001-6.png",
    )
    assert gallery.path(second).read_bytes() == b"\x89PNG picture"
    assert (second.state, second.bytes, second.owner, second.infotext) == ("ready", 12, "ann", "Seed: 6")
    assert names(places.pictures) == ["2026-03-01/00000-5.png", "2026-03-01/00001-6.png"]


@pytest.mark.parametrize(
    ("kind", "request_", "folder"),
    [
        ("edit", EditRequest(init_images=("a",)), "img2img-images"),
        ("upscale", UpscaleRequest(pictures=("a",)), "extras-images"),
        ("of-an-extension", ImageRequest(), "txt2img-images"),
    ],
)
def test_each_kind_of_job_has_its_folder(gallery, queue, kind, request_, folder):
    job = queue.submit(kind, request_)
    assert gallery.keep(drawn(job.id, 0, 5), job).path == f"{folder}/2026-03-01/00000-5.png"


def test_the_same_picture_again_is_not_written_again(gallery, job, places):
    first = gallery.keep(drawn(job.id), job)
    assert gallery.keep(drawn(job.id, content=b"another attempt"), job) == first
    assert gallery.path(first).read_bytes() == b"\x89PNG picture"
    assert len(names(places.pictures)) == 1


def test_numbers_go_on_after_what_is_there(store, places, job):
    """Files of others count, and so do rows whose file somebody deleted."""
    folder = places.pictures / "2026-03-01"
    folder.mkdir(parents=True)
    (folder / "00041-1.png").touch()
    (folder / "holiday.png").touch()
    gallery = Gallery(store, places, clock=lambda: NOON)
    kept = gallery.keep(drawn(job.id), job)
    assert kept.path.endswith("/00042-5.png")
    gallery.path(kept).unlink()
    again = Gallery(store, places, clock=lambda: NOON).keep(drawn(job.id, 1), job)
    assert again.path.endswith("/00043-5.png")


def test_pictures_nobody_keeps_go_after_a_day(store, places, queue):
    job = queue.submit("image", ImageRequest(save=False))
    fleeting = Gallery(store, places, clock=lambda: NOON)
    picture = fleeting.keep(drawn(job.id), job)
    assert picture.path.startswith(".fleeting/")
    assert not picture.kept
    assert fleeting.pictures() == ()
    assert fleeting.pictures(job=job.id) == (picture,)
    Gallery(store, places, clock=lambda: NOON + DAY - 60).sweep()
    assert fleeting.path(picture).exists()
    Gallery(store, places, clock=lambda: NOON + DAY + 60).sweep()
    assert names(places.fleeting) == []
    with pytest.raises(NotFound):
        fleeting.picture(picture.id)


def fail_at(monkeypatch, name: str) -> None:
    def full(*_arguments, **_named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, name, full)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_disk_full(gallery, job, places, monkeypatch, step):
    """Rows 5 and 10: a sentence, neither row nor file nor part of one; later it works."""
    with monkeypatch.context() as full:
        fail_at(full, step)
        with pytest.raises(StorageFailed, match="could not be saved.*No space left on device"):
            gallery.keep(drawn(job.id), job)
    assert names(places.pictures) == []
    assert gallery.pictures(job=job.id) == ()
    assert gallery.keep(drawn(job.id), job).state == "ready"


def crash_at(gallery, job, monkeypatch, where: str) -> None:
    """As if the server were killed at one of the steps of `keep`."""

    class Killed(BaseException):
        pass

    def kill(*_arguments, **_named):
        raise Killed

    target = {"write": (gallery_module, "write_atomically"), "rename": (os, "replace"), "row": (rows, "mark_ready")}
    with monkeypatch.context() as dying:
        dying.setattr(*target[where], kill)
        with pytest.raises(Killed):
            gallery.keep(drawn(job.id), job)


@pytest.mark.parametrize(("where", "survives"), [("write", False), ("rename", False), ("row", True)])
def test_recovery(store, places, job, gallery, monkeypatch, where, survives):
    """Row 4: after a crash at any step there is a whole picture with its row, or nothing at all."""
    crash_at(gallery, job, monkeypatch, where)
    assert gallery.pictures(job=job.id) == ()
    again = Gallery(store, places, clock=lambda: NOON)
    again.recover()
    assert len(again.pictures(job=job.id)) == len(names(places.outputs / "txt2img-images")) == survives
    kept = again.keep(drawn(job.id), job)
    assert again.path(kept).read_bytes() == b"\x89PNG picture"
    assert len(names(places.pictures)) == 1


def test_recovery_removes_parts_of_files(gallery, places):
    places.pictures.mkdir(parents=True)
    part = places.pictures / f".00001-1.png.abcd{files.TEMPORARY}"
    part.touch()
    (places.pictures / "mine.txt").touch()
    gallery.recover()
    assert names(places.pictures) == ["mine.txt"]


def test_pages_and_owners(gallery, queue):
    for number in range(6):
        job = queue.submit("image", ImageRequest(), owner="ann" if number % 2 else "bob")
        gallery.keep(drawn(job.id, seed=number), job)
    first = gallery.pictures(limit=4)
    second = gallery.pictures(limit=4, before=first[-1].id)
    assert [one.seed for one in first + second] == [5, 4, 3, 2, 1, 0]
    assert [one.seed for one in gallery.pictures(owner="bob")] == [4, 2, 0]
    assert gallery.pictures(job=first[0].job, owner="bob") == ()
    assert gallery.picture(first[0].id, "ann") == first[0]
    with pytest.raises(NotFound):
        gallery.picture(first[0].id, "bob")


@pytest.mark.parametrize("id", ["", "../../etc/passwd", "x\0", "%2e%2e"])
def test_unknown_pictures(gallery, id):
    with pytest.raises(NotFound):
        gallery.picture(id)


def test_a_file_that_became_a_link_out_of_the_folder(gallery, job, tmp_path):
    """Row 33: whatever lies there, nothing outside the outputs is answered."""
    picture = gallery.keep(drawn(job.id), job)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    gallery.path(picture).unlink()
    (tmp_path / "outputs" / picture.path).symlink_to(secret)
    with pytest.raises(NotFound):
        gallery.path(picture)


def test_no_new_work_on_a_full_disk(gallery, store, monkeypatch):
    gallery.check_room()
    monkeypatch.setattr(gallery_module, "SPARE_BYTES", 1 << 62)
    with pytest.raises(StorageFailed, match="the disk is full"):
        gallery.check_room()
