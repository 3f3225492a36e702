"""Pictures brought along: only pictures, each once, whole on the disk, and gone when nobody needs them."""

import hashlib
import io
import os
import struct
import threading
import time
import zlib

import pytest
from PIL import Image

from modules.core.errors import InvalidImage, NotFound, StorageFailed
from modules.core.files import TEMPORARY
from modules.core.requests import EditRequest, ImageRequest
from modules.services.inputs import Inputs, inputs_needed


def picture(kind: str = "PNG", size: tuple[int, int] = (9, 7), mode: str = "RGB", **known) -> bytes:
    content = io.BytesIO()
    Image.effect_noise(size, 50).convert(mode).save(content, kind, **known)
    return content.getvalue()


@pytest.fixture
def inputs(tmp_path) -> Inputs:
    return Inputs(tmp_path / "inputs")


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp"), ("BMP", "image/bmp")],
)
def test_kept_as_it_is(inputs, kind, media_type):
    data = picture(kind)
    kept = inputs.store(data)
    assert (kept.id, kept.width, kept.height) == (hashlib.sha256(data).hexdigest(), 9, 7)
    assert inputs.get(kept.id) == inputs.path(kept.id).read_bytes() == data
    assert inputs.media_type(kept.id) == media_type


def test_a_photo_with_two_pictures_in_it_is_a_photo(inputs):
    """Telephones write JPEGs with a second picture behind the first."""
    content = io.BytesIO()
    Image.new("RGB", (9, 7)).save(content, "MPO", save_all=True, append_images=[Image.new("RGB", (9, 7), "red")])
    assert inputs.media_type(inputs.keep(content.getvalue())) == "image/jpeg"


@pytest.mark.parametrize(("orientation", "size"), [(1, (9, 7)), (3, (9, 7)), (6, (7, 9)), (8, (7, 9)), (99, (9, 7))])
def test_the_size_is_that_of_the_upright_picture(inputs, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    kept = inputs.store(picture("JPEG", exif=exif))
    assert (kept.width, kept.height) == size


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"x"]
)
def test_a_picture_with_damaged_exif(inputs, exif):
    data = picture("JPEG", exif=exif)
    try:
        kept = inputs.store(data)
    except InvalidImage:
        return
    assert (kept.width, kept.height) == (9, 7)


def test_the_same_picture_is_stored_once(inputs, tmp_path):
    data = picture()
    assert len({inputs.keep(data) for _ in range(3)}) == 1
    assert len(list((tmp_path / "inputs").iterdir())) == 1


def png_that_says(width: int, height: int) -> bytes:
    """A few bytes that announce any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


REFUSED = {
    "nothing": b"",
    "text": b"hello",
    "gif": picture("GIF"),
    "tiff": picture("TIFF"),
    "pdf": picture("PDF"),
    "ico": picture("ICO", (16, 16)),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "cut": picture(size=(200, 200))[:-500],
    "bomb": png_that_says(50_000, 50_000),
    "just too large": png_that_says(8001, 6250),
    "no side": png_that_says(0, 9),
    "longest": png_that_says(2**31 - 1, 2**31 - 1),
    "jpeg without pixels": b"\xff\xd8\xff\xd9",
    "riff": b"RIFF\x00\x00\x00\x00WEBP",
    "bmp": b"BM" + b"\0" * 100,
    "zip": b"PK\x03\x04" + b"\0" * 100,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_not_kept(inputs, tmp_path, name):
    started = time.perf_counter()
    with pytest.raises(InvalidImage):
        inputs.keep(REFUSED[name])
    assert time.perf_counter() - started < 1
    assert not (tmp_path / "inputs").exists()


@pytest.mark.parametrize(
    "id", ["", "0" * 64, "..", "../../etc/passwd", "/etc/passwd", "A" * 64, "0" * 64 + "\n", "\0", "x" * 5000, "~"]
)
def test_what_is_not_there(inputs, id):
    inputs.keep(picture())
    for ask in (inputs.get, inputs.path, inputs.media_type):
        with pytest.raises(NotFound):
            ask(id)


def made_old(inputs: Inputs, id: str, days: float) -> None:
    then = time.time() - days * 24 * 3600
    os.utime(inputs.path(id), times=(then, then))


def test_old_ones_go_unless_a_job_needs_them(tmp_path):
    needed: set[str] = set()
    inputs = Inputs(tmp_path, needed=lambda: needed)
    old, wanted, young = (inputs.keep(picture(size=(size, 9))) for size in (8, 9, 10))
    needed.add(wanted)
    made_old(inputs, old, 7.1)
    made_old(inputs, wanted, 70)
    made_old(inputs, young, 6.9)
    assert inputs.sweep() == 1
    with pytest.raises(NotFound):
        inputs.get(old)
    assert inputs.get(wanted)
    assert inputs.get(young)


def test_brought_again_it_is_young_again(inputs):
    data = picture()
    id = inputs.keep(data)
    made_old(inputs, id, 30)
    inputs.keep(data)
    assert inputs.sweep() == 0
    assert inputs.get(id) == data


def test_they_never_fill_the_disk(tmp_path):
    """Whoever sends picture after picture pushes the oldest out, but none that a job needs, and not the newest."""
    needed: set[str] = set()
    size = len(picture("BMP"))
    inputs = Inputs(tmp_path, needed=lambda: needed, most_bytes=10 * size)
    ids = []
    for number in range(30):
        ids.append(inputs.keep(picture("BMP")))
        made_old(inputs, ids[-1], (30 - number) / 100)
        if number == 0:
            needed.add(ids[0])
    left = {path.name for path in tmp_path.iterdir()}
    assert {ids[0], ids[-1], ids[-2]} <= left
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 11 * size
    assert ids[1] not in left


def test_what_a_crash_left_half_written_is_removed_at_start(open_tiny, places):
    places.inputs.mkdir(parents=True)
    part = places.inputs / f".{'a' * 64}.12345678{TEMPORARY}"
    part.write_bytes(b"half")
    open_tiny()
    assert not part.exists()


def test_other_files_are_left_alone(inputs, tmp_path):
    inputs.keep(picture())
    other = tmp_path / "inputs" / "notes.txt"
    other.write_text("mine")
    os.utime(other, times=(0, 0))
    inputs.sweep(days=-1)
    assert [path.name for path in (tmp_path / "inputs").iterdir()] == ["notes.txt"]


def test_a_full_disk_keeps_nothing(tmp_path):
    def full() -> None:
        raise StorageFailed("the disk is full")

    with pytest.raises(StorageFailed):
        Inputs(tmp_path / "inputs", check_room=full).keep(picture())
    assert not (tmp_path / "inputs").exists()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "inputs").write_text("a file is in the way")
    with pytest.raises((StorageFailed, OSError)):
        Inputs(tmp_path / "inputs").keep(picture())


def test_from_many_threads(inputs):
    pictures = [picture(size=(size, 9)) for size in range(1, 5)] * 5
    ids: list[str] = []
    threads = [threading.Thread(target=lambda data=data: ids.append(inputs.keep(data))) for data in pictures]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 20
    assert {inputs.get(id) for id in ids} == set(pictures)


def test_what_unfinished_jobs_need(queue):
    edit = EditRequest(init_images=("a" * 64,), mask="b" * 64)
    queue.submit("image", edit)
    queue.submit("image", ImageRequest())
    done = queue.submit("image", EditRequest(init_images=("c" * 64,)))
    assert inputs_needed(queue) == {"a" * 64, "b" * 64, "c" * 64}
    queue.cancel(done.id)
    assert inputs_needed(queue) == {"a" * 64, "b" * 64}


def test_the_studio_has_them_and_sweeps_at_start(open_tiny, places):
    old = picture()
    places.inputs.mkdir(parents=True)
    stale = places.inputs / hashlib.sha256(old).hexdigest()
    stale.write_bytes(old)
    os.utime(stale, times=(0, 0))
    studio = open_tiny()
    assert not stale.exists()
    assert studio.inputs.get(studio.inputs.keep(old)) == old
