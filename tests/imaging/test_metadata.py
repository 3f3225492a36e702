import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from modules.core.errors import InvalidImage
from modules.imaging.metadata import open_picture, png_bytes, preview_jpeg, read_text

TEXTS = ["a cat\nSteps: 20, Seed: 1", "Grüße: 1, 2", "猫 🐈\nSteps: 3", '"quoted", \\ and more', "x" * 20_000]


def picture(width=20, height=10, mode="RGB"):
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


def file_of(image, kind, **options):
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def with_comment(comment, kind="JPEG"):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    return file_of(picture(), kind, exif=exif)


# PNG ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS)
def test_a_png_keeps_its_pixels_and_its_text(text):
    content = png_bytes(picture(), text)
    assert read_text(content).infotext == text
    assert open_picture(content).tobytes() == picture().tobytes()


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=200))
def test_any_text_comes_back(text):
    assert read_text(png_bytes(picture(2, 2), text)).infotext == text


@pytest.mark.parametrize(("text", "chunk"), [("plain", b"tEXtparameters\0plain"), ("猫", b"iTXtparameters\0")])
def test_the_chunk_is_the_one_other_programs_look_for(text, chunk):
    assert chunk in png_bytes(picture(), text)


def test_without_a_text_there_is_no_chunk():
    assert b"parameters" not in png_bytes(picture())
    assert read_text(png_bytes(picture())).infotext == ""


def test_further_texts_are_written_beside_it():
    others = {"postprocessing": "done", "Title": "猫", "parameters": "never twice", "": "nameless", "x" * 99: "long"}
    assert read_text(png_bytes(picture(), "how", others=others)).items == {
        "parameters": "how",
        "postprocessing": "done",
        "Title": "猫",
    }


def test_the_level_changes_the_size_only():
    sheet = Image.new("RGB", (64, 64), "red")
    files = [png_bytes(sheet, "x", level=level) for level in (0, 1, 9)]
    assert len(files[0]) > 64 * 64 * 3 > len(files[1]) > len(files[2])
    assert {open_picture(content).tobytes() for content in files} == {sheet.tobytes()}


def test_other_texts_of_a_png_are_listed():
    chunks = PngImagePlugin.PngInfo()
    for key, value in {"parameters": "how", "Title": "what", "postprocessing": "upscaled"}.items():
        chunks.add_text(key, value)
    found = read_text(file_of(picture(), "PNG", pnginfo=chunks))
    assert found.infotext == "how"
    assert found.items == {"parameters": "how", "Title": "what", "postprocessing": "upscaled"}


# The other kinds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le"])
def test_a_user_comment_is_read_in_either_byte_order(kind, text, encoding):
    text = text[:5000]
    if encoding == "utf-16-le" and "猫 🐈" in text:
        text += " plain letters decide about the order"
    assert read_text(with_comment(b"UNICODE\0" + text.encode(encoding), kind)).infotext == text


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        (b"ASCII\0\0\0plain", "plain"),
        (b"UNICODE\0" + "marked".encode("utf-16"), "marked"),
        (b"UNICODE\0", ""),
        (b"plain", "plain"),
        (b"ASCII\0\0\0\xff\xfe", "\ufffd\ufffd"),
        (b"UNICODE\0\x00A\xd8\x00", "A\ufffd"),
    ],
)
def test_other_comments(comment, expected):
    assert read_text(with_comment(comment)).infotext == expected


def test_a_user_comment_wins_over_the_chunk():
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "comment".encode("utf-16-be")
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("parameters", "chunk")
    found = read_text(file_of(picture(), "PNG", pnginfo=chunks, exif=exif.tobytes()))
    assert found.infotext == "comment"
    assert found.items["parameters"] == "chunk"


def test_looking_for_a_text_decodes_nothing():
    content = png_bytes(picture(200, 200), "a cat")
    assert read_text(content[: len(content) // 2]).infotext == "a cat"


def test_the_comment_of_a_gif():
    content = file_of(picture(mode="P"), "GIF", comment="a cat, Größe".encode())
    assert read_text(content).infotext == "a cat, Größe"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_pictures_without_a_text_have_none(kind):
    content = file_of(picture(), kind)
    assert read_text(content).infotext == ""
    assert open_picture(content).size == (20, 10)


def test_of_an_animation_the_first_frame_is_read():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    content = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert open_picture(content).convert("RGB").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_of_a_turned_camera_is_opened_upright(kind):
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees clockwise to view"
    options = {} if kind == "PNG" else {"quality": 100}
    original = Image.new("RGB", (30, 10), "white")
    original.paste("red", (0, 0, 10, 10))
    upright = open_picture(file_of(original, kind, exif=exif, **options)).convert("RGB")
    assert upright.size == (10, 30)
    assert upright.getpixel((5, 4))[1] < 60 < 200 < upright.getpixel((5, 25))[1]
    assert open_picture(png_bytes(upright)).size == (10, 30)  # not turned twice


def test_exif_that_is_broken_does_no_harm():
    content = file_of(picture(), "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01")
    try:
        assert open_picture(content).size == (20, 10)
    except InvalidImage as error:
        assert "damaged" in str(error)


# What anybody might send --------------------------------------------------------------------------------------------


def png_announcing(width, height):
    """A PNG of a few bytes whose header says it is huge."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("size", [(8001, 8000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
@pytest.mark.parametrize("read", [open_picture, read_text])
def test_a_bomb_is_refused_by_its_header(size, read):
    with pytest.raises(InvalidImage, match="pixels"):
        read(png_announcing(*size))


def test_the_limit_can_be_set():
    with pytest.raises(InvalidImage, match="at most 100"):
        open_picture(png_bytes(picture()), most_pixels=100)


@pytest.mark.parametrize("read", [open_picture, read_text])
@pytest.mark.parametrize("content", [b"", b"hello", b"%PDF-1.4", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP"])
def test_what_is_no_picture_is_refused(read, content):
    with pytest.raises(InvalidImage):
        read(content)


@pytest.mark.parametrize("kind", ["TIFF", "ICO", "PPM", "TGA", "PDF"])
def test_other_kinds_are_refused(kind):
    with pytest.raises(InvalidImage, match="PNG"):
        open_picture(file_of(picture(16, 16), kind))


def test_a_cut_off_picture_is_refused():
    content = png_bytes(picture(200, 200))
    with pytest.raises(InvalidImage, match="damaged"):
        open_picture(content[: len(content) // 2])


def test_a_text_that_unpacks_to_gigabytes_is_refused():
    body = b"parameters\0\0" + zlib.compress(b"a" * 50_000_000)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    content = png_bytes(picture())
    with pytest.raises(InvalidImage):
        read_text(content[:33] + chunk + content[33:])


@settings(max_examples=300, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["PNG", "JPEG", "WEBP", "BMP", "GIF"]))
def test_a_changed_file_gives_a_picture_or_a_sentence(data, kind):
    content = bytearray(file_of(picture(), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    for read in (open_picture, read_text):
        try:
            read(bytes(content))
        except InvalidImage as error:
            assert str(error)


# Previews -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"), [((1024, 512), (512, 256)), ((512, 1024), (256, 512)), ((100, 50), (100, 50))]
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_preview_is_small_and_has_the_same_shape(size, expected, mode):
    original = picture(*size, mode)
    found = Image.open(io.BytesIO(preview_jpeg(original)))
    assert (found.format, found.size) == ("JPEG", expected)
    assert original.size == size
