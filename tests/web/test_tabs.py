"""The tabs' own functions: what they say about extensions and pictures. The tabs themselves are driven in tests/e2e."""

import json

import pytest
from PIL import Image

from modules.core.errors import InvalidRequest, Problem, QueueFull
from modules.core.events import PluginReport
from modules.core.plugins import Plugins
from modules.imaging.metadata import png_bytes
from modules.web.tabs import extensions, png_info
from modules.web.widgets import generating
from modules.web.widgets.order import SAMPLERS, in_order

TEXT = "a <b>cat</b>\nNegative prompt: dogs\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x96"


@pytest.fixture
def picture(tmp_path):
    def write(text: str, name: str = "picture.png") -> str:
        path = tmp_path / name
        path.write_bytes(png_bytes(Image.new("RGB", (8, 8)), text))
        return str(path)

    return write


def test_every_tab_of_the_package_is_registered_in_order():
    plugins = Plugins("web")
    plugins.add_package("modules.web.tabs")
    tabs = sorted(plugins.collect("register_tabs").values(), key=lambda one: one.order)
    names = [one.name for one in tabs]
    assert names[:2] == ["txt2img", "img2img"]
    assert [one for one in names if one in ("PNG Info", "Queue", "Extensions")] == ["PNG Info", "Queue", "Extensions"]


def test_extensions_are_listed_with_the_reason_and_escaped():
    table = extensions.report_table(
        [PluginReport(name="good", process="web"), PluginReport(name="<i>", process="engine", problem="a < b")]
    )
    assert "good" in table
    assert "loaded" in table
    assert "&lt;i&gt;" in table
    assert "a &lt; b" in table


def test_no_extensions_is_a_sentence():
    assert "There are no extensions" in extensions.report_table([])


def test_a_pictures_text_is_shown_whole_and_parsed(picture):
    markup = png_info.shown(picture(TEXT))
    assert "<dt>Seed</dt><dd>5</dd>" in markup
    assert "<dt>Size</dt><dd>64x96</dd>" in markup
    assert "<b>cat" not in markup
    assert "Clip skip" not in markup  # a default that the reader fills in, not something the picture says


def test_a_picture_without_text_is_a_sentence(picture):
    assert "carries no text" in png_info.shown(picture(""))


def test_a_file_that_is_no_picture_is_a_sentence(tmp_path):
    (tmp_path / "no.png").write_bytes(b"no picture at all")
    assert "role='alert'" in png_info.shown(str(tmp_path / "no.png"))


def test_no_picture_is_an_invitation():
    assert png_info.shown(None) == png_info.EMPTY


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(png_info.LARGEST + 1)
    assert "larger than 64 MB" in png_info.shown(str(tmp_path / "large.png"))


def test_a_refusal_names_the_fields():
    answer = json.loads(generating.refused(InvalidRequest(Problem(field="width", message="Width is 7."))))
    assert answer == {"sentence": "Width is 7.", "fields": {"width": "Width is 7."}}


def test_a_refusal_without_fields_is_a_sentence():
    assert json.loads(generating.refused(QueueFull("Too many."))) == {"sentence": "Too many.", "fields": {}}


def test_lists_are_in_the_fields_order():
    assert in_order(["DDIM", "Mine", "Euler", "DPM++ 2M"], SAMPLERS) == ["DPM++ 2M", "Euler", "DDIM", "Mine"]
