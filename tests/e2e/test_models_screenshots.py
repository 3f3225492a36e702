"""The Models tab as pictures, like tests/e2e/test_screenshots.py; previews are cut from the starter's sheet of samples."""

import os
from pathlib import Path

import pytest
from e2e.conftest import Visitor, serving
from e2e.test_screenshots import DESK, LARGEST, PHONE, _fewer_colours
from PIL import Image
from playwright.sync_api import expect
from services.test_shelf import LORA, write_tensors

from modules.core.flags import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LOOKS = {"models-1440": DESK | {"color_scheme": "light"}, "models-390": PHONE | {"color_scheme": "light"}}
NAMES = (  # of what the columns of the sheet show
    "Astronauts",
    "Beach dogs",
    "Chicks",
    "Fish",
    "City robots",
    "Snow cars",
    "Crowned rabbits",
    "Spotted teapots",
    "Painted bears",
    "Cinematic houses",
)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """A server with networks that have something to look at."""
    data = tmp_path_factory.mktemp("models")
    sheet = Image.open(ROOT / "docs" / "images" / "starter-samples.png").convert("RGB")
    side = 128 + 4  # a picture and the gap beside it
    columns = (sheet.width + 4) // side
    for number, name in enumerate(NAMES):
        path = write_tensors(data / "models" / "Lora" / f"{name}.safetensors", LORA)
        left, top = side * (number % columns), side * (number // columns)
        sheet.crop((left, top, left + 128, top + 128)).save(path.with_suffix(".preview.png"))
    with serving(data) as served:
        yield served


@pytest.mark.parametrize("name", LOOKS)
def test_the_models_as_a_picture(gallery, browser, tmp_path, name):
    wanted = os.environ.get("ATELIER_SCREENSHOTS")
    path = (ROOT / wanted if wanted else Path(tmp_path)) / f"{name}.png"
    visitor = Visitor(browser, gallery, **LOOKS[name])
    page = visitor.open()
    expect(page.locator("at-status .at-engine")).to_contain_text("ready")
    page.evaluate("atelier.openTab('models')")
    page.locator("#models_tab [data-kind=lora]").click()
    expect(page.locator("#models_tab .am-card img")).to_have_count(len(NAMES))
    page.locator("#models_tab .am-card .am-use").nth(2).click()
    page.evaluate("document.getElementById('at_said')?.remove(); document.activeElement.blur(); scrollTo(0, 0)")
    page.mouse.move(1, 1)
    page.wait_for_function("[...document.querySelectorAll('.am-card img')].slice(0, 6).every(one => one.complete)")
    page.screenshot(path=path, animations="disabled")
    visitor.close()
    _fewer_colours(path)
    assert path.stat().st_size < LARGEST
    assert visitor.complaints == []
