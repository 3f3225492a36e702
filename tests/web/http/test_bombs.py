"""Pictures that are made to hurt, at every field that takes one: refused fast, without the memory they ask for."""

import base64
import io
import struct
import threading
import time
import zipfile
import zlib
from contextlib import contextmanager

import psutil
import pytest
from PIL import Image

MOST_EXTRA = 200 << 20
PNG = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *more: bytes, colour: int = 2, depth: int = 8, content: bytes = b"") -> bytes:
    """A PNG that says what it is told to say; `more` chunks come before its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return PNG + header + b"".join(more) + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")


def small(kind: str = "PNG", **known) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (9, 9)).save(written, kind, **known)
    return written.getvalue()


def zeros(count: int) -> bytes:
    """`count` zeros, deflated, without ever being in memory at once."""
    packer, parts = zlib.compressobj(9), []
    for _ in range(count >> 20):
        parts.append(packer.compress(bytes(1 << 20)))
    parts.append(packer.compress(bytes(count % (1 << 20))))
    return b"".join([*parts, packer.flush()])


def png_of_zeros(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return PNG + header + chunk(b"IDAT", zeros((3 * width + 1) * height)) + chunk(b"IEND", b"")


def jpeg(width: int, height: int) -> bytes:
    content = bytearray(small("JPEG"))
    start = content.index(b"\xff\xc0")
    content[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def webp(width: int, height: int) -> bytes:
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0"
    extended += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBP" + extended + b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bmp(width: int, height: int, bits: int = 24) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header


def gif(frames: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return head + frame * frames + b";"


def zipped(content: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", content)
    return written.getvalue()


BOMBS = {
    "png header": png(50_000, 50_000),
    "png of zeros": png_of_zeros(20_000, 3_500),
    "png of one row": png(2**31 - 1, 1),
    "png of one column": png(1, 2**31 - 1),
    "png of no width": png(0, 9),
    "png of 16 bit": png(30_000, 30_000, depth=16, colour=6),
    "png of a palette": png(30_000, 30_000, colour=3),
    "png of unknown kind": png(9, 9, colour=7),
    "png with a text bomb": png(9, 9, chunk(b"zTXt", b"parameters\0\0" + zeros(300 << 20))),
    "png with many texts": png(9, 9, *[chunk(b"zTXt", b"a%d\0\0" % n + zeros(1 << 20)) for n in range(90)]),
    "png with an international bomb": png(9, 9, chunk(b"iTXt", b"parameters\0\1\0\0\0" + zeros(300 << 20))),
    "png with a profile bomb": png(9, 9, chunk(b"iCCP", b"x\0\0" + zeros(300 << 20))),
    "png with too many frames": png(9, 9, chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))),
    "png with a chunk that never ends": PNG + struct.pack(">I", 2**31 - 1) + b"IHDR",
    "png with a negative chunk": PNG + b"\xff\xff\xff\xffIHDR" + b"\0" * 30,
    "png without pixels": png(3000, 3000),
    "png with too few": png(3000, 3000, content=bytes(99)),
    "jpeg header": jpeg(65_500, 65_500),
    "jpeg of half": small("JPEG")[:200],
    "jpeg with a segment that never ends": b"\xff\xd8\xff\xe1\xff\xff" + b"Exif\0\0" + b"\xff" * 99,
    "webp canvas": webp(16_383, 16_383),
    "webp header": webp(2**24, 2**24),
    "webp cut": small("WEBP")[:40],
    "bmp header": bmp(2**31 - 1, 2**31 - 1),
    "bmp header upside down": bmp(30_000, -30_000),
    "bmp with odd bits": bmp(9, 9, 7),
    "bmp without pixels": bmp(5000, 5000),
    "gif of many frames": gif(100_000),
    "gif header": b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0),
    "tiff": small("TIFF"),
    "tiff header": b"II*\0\x08\0\0\0" + b"\xff" * 99,
    "ico": small("ICO"),
    "pdf": small("PDF"),
    "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + b"\xff" * 99,
    "psd": b"8BPS\0\1" + b"\xff" * 30,
    "fits": b"SIMPLE  =                    T" + b" " * 50,
    "xbm": b"#define im_width 50000\n#define im_height 50000\nstatic char im_bits[] = {\n",
    "ppm": b"P6 50000 50000 255\n",
    "sgi": b"\x01\xda" + b"\xff" * 600,
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "svg with entities": b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><svg>&b;</svg>',
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n(/etc/passwd) (r) file\n",
    "html": b"<html><script>alert(1)</script></html>",
    "zip": zipped(bytes(50 << 20)),
    "gzip": zlib.compress(bytes(50 << 20), wbits=31),
    "a program": b"\x7fELF" + b"\0" * 200,
    "nothing": b"",
    "one byte": b"\x89",
    "much of nothing": bytes(3 << 20),
}
HARMLESS = {  # pictures in front, something else behind: read as pictures, and what is behind is never looked at
    "png and zip": small() + zipped(b"x" * 999),
    "jpeg and html": small("JPEG") + b"<script>alert(1)</script>",
    "png and much": small() + bytes(2 << 20),
}


def img2img(content: str) -> tuple[str, dict]:
    return "/sdapi/v1/img2img", {"init_images": [content], "steps": 1, "width": 64, "height": 64}


def mask(content: str) -> tuple[str, dict]:
    return "/sdapi/v1/img2img", img2img(base64.b64encode(small()).decode())[1] | {"mask": content}


def png_info(content: str) -> tuple[str, dict]:
    return "/sdapi/v1/png-info", {"image": content}


def extra_single(content: str) -> tuple[str, dict]:
    return "/sdapi/v1/extra-single-image", {"image": content, "upscaler_1": "Lanczos"}


def extra_batch(content: str) -> tuple[str, dict]:
    return "/sdapi/v1/extra-batch-images", {"imageList": [{"data": content, "name": "x"}], "upscaler_1": "Lanczos"}


def interrogate(content: str) -> tuple[str, dict]:
    return "/sdapi/v1/interrogate", {"image": content, "model": "clip"}


FIELDS = {
    "init_images": img2img,
    "mask": mask,
    "png-info": png_info,
    "extra-single": extra_single,
    "extra-batch": extra_batch,
    "interrogate": interrogate,
}


@contextmanager
def watched():
    """How many bytes more this process, in which the server runs, holds at most than it did before."""
    me, over, seen = psutil.Process(), threading.Event(), [0]
    before = me.memory_info().rss

    def look() -> None:
        while not over.wait(0.002):
            seen[0] = max(seen[0], me.memory_info().rss - before)

    watcher = threading.Thread(target=look)
    watcher.start()
    yield seen
    over.set()
    watcher.join()


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb(api, field, name):
    path, body = FIELDS[field](base64.b64encode(BOMBS[name]).decode() or "=")
    before, started = api.jobs(), time.perf_counter()
    with watched() as extra:
        answer = api.client.post(path, json=body)
    seconds = time.perf_counter() - started
    read_anyway = field == "png-info" and answer.status_code == 200  # a header and its text may be sound
    too_short = (field, answer.status_code) == ("interrogate", 404)  # clients know that as "no picture"
    assert read_anyway or too_short or (answer.status_code, answer.json()["detail"]) == (500, "Invalid encoded image")
    assert api.jobs() == before
    assert seconds < 3, "a slow machine may take its time, a bomb takes minutes"
    assert extra[0] < MOST_EXTRA


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_sent_to_the_store(api, name):
    with watched() as extra:
        answer = api.client.post("/api/v1/inputs", content=BOMBS[name])
    assert answer.status_code == 422
    assert extra[0] < MOST_EXTRA


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_dangerous(api, name):
    kept = api.client.post("/api/v1/inputs", content=HARMLESS[name])
    assert kept.status_code == 200
    file = api.client.get(f"/api/v1/inputs/{kept.json()['id']}")
    assert file.headers["content-type"] in ("image/png", "image/jpeg")
    assert file.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in file.headers["content-security-policy"]


def test_the_largest_that_is_taken(api):
    content = png_of_zeros(7000, 7000)
    with watched() as extra:
        kept = api.client.post("/api/v1/inputs", content=content)
    assert kept.json()["width"] == 7000
    assert extra[0] < MOST_EXTRA + (20 << 20)
