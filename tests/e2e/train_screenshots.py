"""The Train tab as pictures for docs/images, like tests/e2e/test_screenshots.py. It trains for minutes, so it is no part of the suite.

ATELIER_SCREENSHOTS=docs/images ./webui.sh test tests/e2e/train_screenshots.py
"""

import os
from pathlib import Path

import pytest
from e2e.conftest import Visitor, serving
from e2e.test_screenshots import DESK, LARGEST, PHONE, _fewer_colours
from playwright.sync_api import expect

from modules.core.flags import ROOT

WANTED = os.environ.get("ATELIER_SCREENSHOTS", "outputs")
pytestmark = pytest.mark.e2e
LIGHT, DARK = {"color_scheme": "light"}, {"color_scheme": "dark"}
STILL = "document.getElementById('at_undo')?.remove(); document.activeElement.blur(); scrollTo(0, 0)"
DRAWN = """[...document.querySelectorAll('#train_tab img')]
    .every(one => !one.checkVisibility() || one.complete && one.naturalWidth)"""
MINUTES = 20


def shoot(page, name: str) -> None:
    page.evaluate(STILL)
    page.mouse.move(1, 1)
    page.wait_for_function(DRAWN)
    path = Path(ROOT / str(WANTED), f"{name}.png")
    page.screenshot(path=path, animations="disabled")
    _fewer_colours(path)
    assert path.stat().st_size < LARGEST


def test_the_tab_as_pictures(tmp_path, browser):
    with serving(tmp_path) as served:
        visitor = Visitor(browser, served, **DESK, **LIGHT)
        page = visitor.open()
        page.evaluate("atelier.openTab('train')")
        page.get_by_role("button", name="Try it with example pictures").click()
        expect(page.locator("#train_start")).to_be_enabled()
        shoot(page, "train-1440")
        page.click("#train_start")
        expect(page.locator(".tr-run-head .tr-chip")).to_have_text("done", timeout=MINUTES * 60_000)
        shoot(page, "train-run-1440")
        run = page.url.rpartition("/")[2]
        visitor.close()
        phone = Visitor(browser, served, **PHONE, **DARK)
        page = phone.open()
        page.evaluate("atelier.openTab('train')")
        page.get_by_role("button", name="Try it with example pictures").click()
        expect(page.locator("#train_start")).to_be_enabled()
        shoot(page, "train-390")
        page.evaluate(f"atelier.train.showRun('{run}')")
        expect(page.locator(".tr-previews img").first).to_be_visible()
        shoot(page, "train-run-390")
        phone.close()
        assert visitor.complaints + phone.complaints == []
