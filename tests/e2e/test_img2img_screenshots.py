"""The img2img tab as pictures, like tests/e2e/test_screenshots.py: a red cat gets something to wear."""

import os
from pathlib import Path

import pytest
from e2e.conftest import Visitor, serving
from e2e.editing import finished, sent, spot, stroke
from e2e.test_screenshots import DESK, LARGEST, PHONE, _fewer_colours
from playwright.sync_api import expect

from modules.core.flags import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LOOKS = {
    "img2img-1440-light": DESK | {"color_scheme": "light"},
    "img2img-1440-dark": DESK | {"color_scheme": "dark"},
    "img2img-390": PHONE | {"color_scheme": "light"},
}


@pytest.fixture(scope="module")
def starter(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("screenshots")) as served:
        yield served


@pytest.mark.parametrize("name", LOOKS)
def test_inpainting_as_a_picture(starter, browser, tmp_path, name):
    wanted = os.environ.get("ATELIER_SCREENSHOTS")
    path = (ROOT / wanted if wanted else Path(tmp_path)) / f"{name}.png"
    visitor = Visitor(browser, starter, **LOOKS[name])
    page = visitor.open()
    page.evaluate("atelier.forms.fill('txt2img', { prompt: 'a red cat in space', seed: '1' })")
    page.wait_for_function("atelier.forms.values('txt2img').seed == '1'")
    page.click("#txt2img_generate")
    expect(page.locator("#txt2img_progress .at-words")).to_contain_text("Done")
    page.evaluate("atelier.sendTo('inpaint', atelier.viewing.selected())")
    expect(page.locator("at-canvas .ac-words").first).to_have_text("128×128 · seed 1")
    page.evaluate("""atelier.forms.fill('img2img', { prompt: 'a red cat wearing an astronaut helmet in space', seed: '12',
        denoising_strength: 1, batch_size: 2, masked_content: 'latent noise' })""")
    page.wait_for_function("atelier.forms.values('img2img').batch_size == 2")
    page.evaluate("atelier.tools.change({ share: 0.36 })")
    page.evaluate("document.querySelector('.ac-stage').scrollIntoView({ block: 'center' })")
    stroke(page, (48, 46), (80, 46), (80, 66), (48, 66), (48, 46))
    sent(page, starter)
    finished(page)
    page.locator("#img2img_gallery .at-open").wait_for()
    page.evaluate("document.getElementById('at_undo')?.remove()")
    if "390" in name:
        page.evaluate("document.querySelector('at-edit-modes').scrollIntoView()")
    else:
        page.evaluate("scrollTo(0, 0)")
        page.mouse.move(*spot(page, 64, 40))
    page.screenshot(path=path, animations="disabled")
    visitor.close()
    _fewer_colours(path)
    assert path.stat().st_size < LARGEST
    assert visitor.complaints == []
