"""PNG Info: a picture's text, sent on with the picture, and the picture made again and compared."""

import httpx
import pytest
from e2e.test_looks_and_keys import PHONE, SMALL_TARGETS, UNNAMED
from PIL import Image
from playwright.sync_api import Page, expect

from modules.imaging.metadata import png_bytes, read_text

pytestmark = pytest.mark.e2e

SETTINGS = "Steps: 2, Sampler: Euler, Schedule type: Automatic, CFG scale: 3.5, Seed: 77, Size: 64x64"
FOREIGN = f"a dropped cat\nNegative prompt: dogs\n{SETTINGS}, Model hash: 0123456789, Model: nicer, Version: v1.10.1"


def drop(page: Page, content: bytes) -> None:
    page.evaluate("atelier.openTab('png_info')")
    clear = page.locator("#pnginfo_image button[aria-label='Remove Image']")
    if clear.count():
        clear.click()
    picture = {"name": "picture.png", "mimeType": "image/png", "buffer": content}
    page.locator("#pnginfo_image input[type=file]").set_input_files(picture)
    expect(page.locator("#pnginfo_image img")).to_be_visible()


def written(text: str, colour: str = "red", size=(64, 64)) -> bytes:
    return png_bytes(Image.new("RGB", size, colour), text)


@pytest.fixture
def made(page, server) -> bytes:
    """A picture of this server."""
    page.evaluate("atelier.forms.fill('txt2img', { prompt: 'a cat', steps: 2, seed: '5', tiling: true })")
    page.wait_for_function("atelier.forms.values('txt2img').tiling")
    page.click("#txt2img_generate")
    expect(page.locator("#txt2img_progress .at-words")).to_contain_text("Done")
    page.wait_for_function("atelier.viewing.selected()?.seed === 5")
    return httpx.get(server.address + page.evaluate("atelier.viewing.selected().url")).content


def test_what_it_says_is_listed_and_picture_and_text_are_sent_on(page):
    drop(page, written(FOREIGN))
    expect(page.locator("#html_info")).to_contain_text("a dropped cat")
    expect(page.locator("#html_info dt", has_text="Size")).to_have_count(1)
    page.get_by_role("button", name="Send to img2img").click()
    expect(page.locator("#img2img_prompt textarea")).to_have_value("a dropped cat")
    expect(page.locator("#img2img_image .ac-words")).to_contain_text("64")


def test_a_picture_of_ours_comes_out_identical(page, made):
    assert "Tiling: True" in read_text(made).infotext
    drop(page, made)
    page.click("#pnginfo_reproduce")
    expect(page.locator(".at-verdict")).to_have_text("Identical: every pixel is the same.")
    expect(page.locator("at-reproduction img")).to_have_count(2)
    expect(page.locator("at-reproduction")).to_contain_text("Both texts say the same.")


def test_another_picture_says_what_is_different_and_why(page, server):
    before = len(server.jobs())
    drop(page, written(FOREIGN))
    page.click("#pnginfo_reproduce")
    expect(page.locator(".at-verdict")).to_contain_text("The model nicer [0123456789] is not here.")
    expect(page.locator("at-reproduction img")).to_have_count(3)
    page.wait_for_function(
        "[...document.querySelectorAll('at-reproduction img')].every(one => one.naturalWidth === 64)"
    )
    row = page.locator(".at-differences tr", has_text="Model hash")
    expect(row).to_contain_text("0123456789")
    expect(row).to_contain_text("Another model file.")
    assert len(server.jobs()) == before + 1
    drop(page, written(""))
    expect(page.locator(".at-verdict")).to_have_count(0)


def test_a_picture_from_a_picture_says_what_it_needs(page):
    drop(page, written(f"a cat\n{SETTINGS}, Denoising strength: 0.75"))
    page.click("#pnginfo_reproduce")
    expect(page.locator("at-reproduction .at-problem-card")).to_contain_text("open that other picture in img2img")


def test_a_picture_without_text_offers_nothing(page):
    drop(page, written(""))
    expect(page.locator("#html_info")).to_contain_text("carries no text")
    expect(page.locator("#pnginfo_reproduce")).to_have_count(0)


def test_a_phone_sees_the_comparison(visit):
    page = visit(**PHONE).open()
    drop(page, written(FOREIGN))
    page.click("#pnginfo_reproduce")
    expect(page.locator(".at-verdict")).to_contain_text("Different")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(SMALL_TARGETS) == []
    assert page.evaluate(UNNAMED) == []
