"""The page as pictures, for people to look at and for docs/images.

They are written to a temporary folder; with ATELIER_SCREENSHOTS=docs/images in the environment, there.
"""

import os
from pathlib import Path

import pytest
from e2e.conftest import Visitor, serving
from e2e.test_story import PROMPT, SEED
from PIL import Image
from playwright.sync_api import expect

from modules.core.flags import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LARGEST = 300_000  # bytes
DESK = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
LOOKS = {
    "page-1440-light": DESK | {"color_scheme": "light"},
    "page-1440-dark": DESK | {"color_scheme": "dark"},
    "page-390": PHONE | {"color_scheme": "light"},
}


@pytest.fixture(scope="module")
def starter(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("screenshots")) as served:
        yield served


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    wanted = os.environ.get("ATELIER_SCREENSHOTS")
    return ROOT / wanted if wanted else tmp_path_factory.mktemp("images")


@pytest.mark.parametrize("name", LOOKS)
def test_the_page_as_a_picture(starter, browser, folder, name):
    visitor = Visitor(browser, starter, **LOOKS[name])
    page = visitor.open()
    page.fill("#txt2img_prompt textarea", PROMPT)
    page.evaluate(f"atelier.forms.fill('txt2img', {{ batch_size: 4, seed: '{SEED}' }})")  # folded away on a phone
    page.wait_for_function(f"atelier.forms.values('txt2img').seed == '{SEED}'")
    page.click("#txt2img_generate")
    expect(page.locator("#txt2img_progress .at-words")).to_contain_text("4 pictures")
    page.locator("#txt2img_gallery .at-open").wait_for()
    page.mouse.move(1, 1)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.screenshot(path=folder / f"{name}.png", animations="disabled")
    visitor.close()
    _fewer_colours(folder / f"{name}.png")
    assert (folder / f"{name}.png").stat().st_size < LARGEST
    assert visitor.complaints == []


def _fewer_colours(path: Path) -> None:
    picture = Image.open(path).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
