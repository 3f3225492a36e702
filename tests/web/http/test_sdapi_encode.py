"""Pictures in answers: the format asked for, with their text, and never a failure for their size."""

import base64
import io

import pytest
from PIL import Image

from modules.imaging.metadata import png_bytes, read_text
from modules.web.http.sdapi_encode import encoded

TEXT = "ä cat, 猫 \U0001f9d1\nSteps: 1, Sampler: Euler, Seed: 5"


def sent(picture: Image.Image, kind: str, quality: int = 80) -> bytes:
    return base64.b64decode(encoded(png_bytes(picture, TEXT), TEXT, kind, quality), validate=True)


def noise(size: tuple[int, int] = (64, 64), mode: str = "RGB") -> Image.Image:
    return Image.effect_noise(size, 80).convert(mode)


@pytest.mark.parametrize("kind", ["jpg", "jpeg", "webp"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_the_text_goes_along(kind, mode):
    content = sent(noise(mode=mode), kind)
    assert read_text(content).infotext == TEXT
    assert Image.open(io.BytesIO(content)).format == {"webp": "WEBP"}.get(kind, "JPEG")


def test_a_png_is_sent_as_it_lies_there():
    png = png_bytes(noise(), TEXT)
    assert base64.b64decode(encoded(png, TEXT, "png", 80)) == png


@pytest.mark.parametrize("kind", ["jpg", "webp"])
def test_quality_counts(kind):
    assert len(sent(noise(), kind, 95)) > len(sent(noise(), kind, 30))


def test_what_was_cut_out_stays_cut_out_where_the_format_can():
    picture = noise(mode="RGBA")
    picture.putalpha(0)
    assert Image.open(io.BytesIO(sent(picture, "webp"))).mode == "RGBA"
    assert Image.open(io.BytesIO(sent(picture, "jpg"))).mode == "RGB"


def test_a_picture_too_long_for_the_format_stays_a_png():
    assert sent(Image.new("RGB", (16_384, 1)), "webp").startswith(b"\x89PNG")
    assert not sent(Image.new("RGB", (16_384, 1)), "jpg").startswith(b"\x89PNG")
