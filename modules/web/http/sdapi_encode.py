"""How pictures travel in answers of the field's API: base64 of a PNG as it lies on the disk, or of a JPEG or WebP made of it."""

import base64
import io

from PIL import ExifTags, Image

from modules.imaging.metadata import open_picture

PILLOW = {"jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP"}
LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}


def encoded(png: bytes, infotext: str, kind: str, quality: int) -> str:
    """`kind`: png, jpg, jpeg or webp; a picture too long for what was asked for stays a PNG.

    The text stands in the EXIF user comment, where programs of the field look for it.
    """
    return base64.b64encode(png if kind == "png" else _smaller(png, infotext, PILLOW[kind], quality)).decode()


def _smaller(png: bytes, infotext: str, kind: str, quality: int) -> bytes:
    picture = open_picture(png)
    if max(picture.size) > LONGEST_SIDE[kind]:
        return png
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"UNICODE\0" + infotext.encode("utf-16-be")
    written = io.BytesIO()
    shown = picture if kind == "WEBP" and picture.mode == "RGBA" else picture.convert("RGB")
    shown.save(written, kind, quality=quality, exif=exif)
    return written.getvalue()
