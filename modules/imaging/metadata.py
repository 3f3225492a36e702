"""Pictures as files: written with their text inside, read with care, since they come from anywhere."""

import io
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from PIL import ExifTags, Image, ImageFile, ImageOps, PngImagePlugin, UnidentifiedImageError

from modules.core.errors import InvalidImage

KEYWORD = "parameters"
MOST_PIXELS = 64_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, MemoryError, struct.error, zlib.error, IndexError, KeyError)
LEVEL = 4  # of zlib: a fifth faster than the usual 6, and the files are as small
UNICODE, ASCII = b"UNICODE\0", b"ASCII\0\0\0"


@dataclass(frozen=True, kw_only=True)
class Text:
    """What a picture says about itself: `infotext` is how it was made; `items` are all texts in it by keyword."""

    infotext: str = ""
    items: Mapping[str, str] = field(default_factory=dict[str, str])


# Writing ------------------------------------------------------------------------------------------------------------


def png_bytes(
    image: Image.Image, infotext: str = "", level: int = LEVEL, others: Mapping[str, str] | None = None
) -> bytes:
    """A PNG file with `infotext` in its `parameters` chunk; `level` is zlib's, 0 to 9. `others`: texts by keyword."""
    chunks = PngImagePlugin.PngInfo()
    if infotext:
        chunks.add_text(KEYWORD, infotext)  # Latin-1 as tEXt, everything else as iTXt
    for keyword, text in (others or {}).items():
        if keyword != KEYWORD and 0 < len(keyword.encode("latin-1", "ignore")) < 80:
            chunks.add_text(keyword.encode("latin-1", "ignore"), text)
    written = io.BytesIO()
    image.save(written, "PNG", pnginfo=chunks, compress_level=level)
    return written.getvalue()


def preview_jpeg(image: Image.Image, longest: int = 512) -> bytes:
    """A small JPEG to look at while the picture is being made; neither side is longer than `longest`."""
    small = image.convert("RGB")
    small.thumbnail((longest, longest), Image.Resampling.BILINEAR)
    written = io.BytesIO()
    small.save(written, "JPEG", quality=75)
    return written.getvalue()


# Reading ------------------------------------------------------------------------------------------------------------


def open_picture(content: bytes, most_pixels: int = MOST_PIXELS) -> Image.Image:
    """The picture in these bytes, decoded and turned upright as its camera says; of an animation the first frame.

    Raises InvalidImage for anything but a whole PNG, JPEG, WebP, BMP or GIF file of at most `most_pixels` pixels. The
    size is looked up before anything is decoded: a few bytes can announce gigabytes.
    """
    picture = _opened(content, most_pixels)
    try:
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
    except DAMAGED as error:
        raise InvalidImage(f"The picture is damaged and cannot be read ({error}).") from error
    return picture


def read_text(content: bytes) -> Text:
    """The texts inside a picture; nothing is decoded. Raises InvalidImage as `open_picture` does.

    Where they lie: PNG text chunks, the EXIF user comment of JPEG and WebP (which wins), the comment of a GIF.
    """
    picture = _opened(content, MOST_PIXELS)
    try:
        items = {str(key): value for key, value in picture.info.items() if isinstance(value, str)}
        comment = _user_comment(picture)
    except DAMAGED as error:
        raise InvalidImage(f"The text in the picture is damaged and cannot be read ({error}).") from error
    if isinstance(gif_comment := picture.info.get("comment"), bytes):
        items["comment"] = gif_comment.decode("utf-8", "replace")
    if comment:
        items["UserComment"] = comment
    own = items.get("comment", "") if picture.format == "GIF" else items.get(KEYWORD, "")
    return Text(infotext=comment or own, items=items)


def _opened(content: bytes, most_pixels: int) -> ImageFile.ImageFile:
    """Only the header is read."""
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InvalidImage(_refusal(error, most_pixels)) from error
    except DAMAGED as error:
        raise InvalidImage(f"The picture is damaged and cannot be read ({error}).") from error
    if picture.width * picture.height > most_pixels:
        raise InvalidImage(
            f"The picture has {picture.width}x{picture.height} pixels; at most {most_pixels:,} are read."
        )
    return picture


def _refusal(error: Exception, most_pixels: int) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"The picture is too large; at most {most_pixels:,} pixels are read."
    return "This is no picture that can be read; PNG, JPEG, WebP, BMP and GIF files can."


def _user_comment(picture: Image.Image) -> str:
    """The EXIF user comment: eight bytes that name the encoding, then the text."""
    if "exif" not in picture.info:  # asked all the same, Pillow would decode a PNG to look behind the pixels
        return ""
    comment = picture.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    if isinstance(comment, str):
        return comment
    if not isinstance(comment, bytes):
        return ""
    if comment.startswith(UNICODE):
        return _decoded_utf16(comment.removeprefix(UNICODE))
    return comment.removeprefix(ASCII).decode("utf-8", "replace").strip("\0")


def _decoded_utf16(text: bytes) -> str:
    """The byte order is that of the writing program: after a mark if there is one, else where the zeros of Latin text are."""
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        return text.decode("utf-16", "replace")
    little = len(re.findall(rb"\0", text[1::2])) > len(re.findall(rb"\0", text[0::2]))
    return text.decode("utf-16-le" if little else "utf-16-be", "replace")
