"""The Extras tab in a real browser, with a real engine."""

import io
import re

import httpx
import pytest
from e2e.conftest import PATIENCE, Visitor, serving
from PIL import Image
from playwright.sync_api import Page, expect

from modules.imaging.metadata import png_bytes, read_text
from modules.starter.world import Spec, draw

pytestmark = pytest.mark.e2e

TEXT = "a small cat\nSteps: 9, Sampler: Euler, CFG scale: 3.5, Seed: 77, Size: 32x24"


@pytest.fixture
def files(tmp_path):
    for name, colour in (("one", "red"), ("two", "green"), ("three", "blue")):
        (tmp_path / f"{name}.png").write_bytes(png_bytes(Image.new("RGB", (32, 24), colour), TEXT))
    return tmp_path


@pytest.fixture
def extras(page: Page):
    """The tab, empty, with the settings that it begins with."""
    page.evaluate(
        "Object.assign(atelier.extras, { results: [], job: '' }); atelier.extras.keep([]); atelier.openTab('extras')"
    )
    expect(page.locator("#extras_generate")).to_be_visible()
    page.locator("#extras_fill").wait_for(state="attached")
    page.evaluate(
        "atelier.forms.fill('extras', { upscaler_1: 'Lanczos', upscaler_2: 'None', upscaler_2_visibility: 0, by_size: false, upscale_by: 2 })"
    )
    page.wait_for_function("Number(atelier.forms.values('extras').upscale_by) === 2")
    return page


def add(page: Page, *paths):
    before = page.locator("#extras_image li").count()
    page.locator("#extras_image input[type=file]").first.set_input_files(list(paths))
    expect(page.locator("#extras_image li")).to_have_count(before + len(paths))


def generate(page: Page):
    page.click("#extras_generate")


def results(page: Page, count: int):
    page.wait_for_function(f"atelier.extras.results.length === {count}", timeout=1000 * PATIENCE)
    expect(page.locator("#extras_gallery .ax-after")).to_be_visible()


def file_at(page: Page, url: str) -> bytes:
    return httpx.get(page.evaluate("url => new URL(url.replace(/^\\//, ''), document.baseURI).href", url)).content


def test_a_picture_is_made_larger_and_keeps_its_text(extras, files):
    add(extras, files / "one.png")
    expect(extras.locator("#extras_image")).to_contain_text("one.png, 32 × 24")
    expect(extras.locator("#extras_tabs_resize")).to_contain_text("32 × 24 becomes 64 × 48")
    generate(extras)
    results(extras, 1)
    expect(extras.locator("#extras_progress .at-words")).to_contain_text("Done")
    content = file_at(extras, extras.evaluate("atelier.extras.results[0].url"))
    assert Image.open(io.BytesIO(content)).size == (64, 48)
    assert read_text(content).infotext == TEXT
    assert read_text(content).items["postprocessing"].startswith("Postprocess upscale by: 2")
    expect(extras.locator("#extras_gallery .at-infotext")).to_contain_text("a small cat")


def test_the_line_between_before_and_after_moves_by_keys(extras, files):
    add(extras, files / "one.png")
    generate(extras)
    results(extras, 1)
    slider = extras.get_by_role("slider", name=re.compile("before"))
    slider.focus()
    extras.keyboard.press("End")
    assert extras.locator(".ax-frame").evaluate("one => one.style.getPropertyValue('--ax-at')") == "100%"
    extras.keyboard.press("ArrowLeft")
    assert extras.locator(".ax-frame").evaluate("one => one.style.getPropertyValue('--ax-at')") == "99%"
    old = extras.locator(".ax-before")
    assert old.evaluate("one => one.complete && one.naturalWidth") == 32


def test_several_at_once_to_a_size(extras, files):
    add(extras, files / "one.png", files / "two.png")
    add(extras, files / "three.png")
    extras.get_by_role("radio", name="Scale to").click()
    expect(extras.locator("#extras_upscale_w")).to_be_visible()
    expect(extras.locator("#extras_upscale_by")).not_to_be_visible()
    extras.fill("#extras_upscale_w input[type=number]", "96")
    extras.fill("#extras_upscale_h input[type=number]", "96")
    generate(extras)
    results(extras, 3)
    sizes = extras.evaluate("atelier.extras.results.map((one) => [one.name, one.width, one.height])")
    assert sizes == [["one.png", 96, 96], ["two.png", 96, 96], ["three.png", 96, 96]]
    extras.locator("#extras_gallery .at-strip").focus()
    extras.keyboard.press("ArrowRight")
    expect(extras.locator("#extras_gallery .at-note")).to_have_text("two.png, 96 × 96")
    expect(extras.get_by_role("link", name="Download", exact=True)).to_have_attribute("download", "two-large.png")


def test_pictures_and_results_survive_a_reload(visit, files):
    page = visit().open()
    page.evaluate("atelier.openTab('extras')")
    page.locator("#extras_image input[type=file]").first.wait_for(state="attached")
    add(page, files / "one.png", files / "two.png")
    generate(page)
    results(page, 2)
    page.reload()
    page.locator("#tabs").wait_for()
    page.wait_for_function("atelier.extras.results.length === 2")
    page.evaluate("atelier.openTab('extras')")
    expect(page.locator("#extras_image li")).to_have_count(2)
    results(page, 2)


def test_taking_pictures_away_can_be_undone(extras, files):
    add(extras, files / "one.png", files / "two.png")
    extras.get_by_role("button", name="Take one.png away").click()
    expect(extras.locator("#extras_image li")).to_have_count(1)
    extras.get_by_role("button", name="Take all away").click()
    expect(extras.locator("#extras_image")).to_contain_text("Drop pictures here")
    extras.get_by_role("button", name="Undo").click()
    expect(extras.locator("#extras_image li")).to_have_count(1)


def test_what_is_wrong_is_said_where_it_is(extras, files):
    generate(extras)
    expect(extras.locator("#extras_problems")).to_contain_text("There is no picture yet")
    add(extras, files / "one.png")
    expect(extras.locator("#extras_problems .at-problem")).to_have_count(0)
    extras.fill("#extras_upscale_by input[type=number]", "99")
    generate(extras)
    expect(extras.locator("#extras_upscale_by")).to_contain_text("it must be between 0.05 and 8")
    (files / "note.txt").write_text("no picture")
    extras.locator("#extras_image input[type=file]").first.set_input_files(files / "note.txt")
    expect(extras.locator("#extras_problems")).to_contain_text("None of these files is a picture")


def test_a_damaged_file_is_named(visit, files):
    (files / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    visitor = visit()
    page = visitor.open()
    page.evaluate("atelier.openTab('extras')")
    page.locator("#extras_image input[type=file]").first.set_input_files([files / "damaged.png", files / "one.png"])
    expect(page.locator("#extras_problems")).to_contain_text("damaged.png: ")
    expect(page.locator("#extras_image li")).to_have_count(1)
    visitor.complaints[:] = [one for one in visitor.complaints if "422" not in one]  # the browser logs the refusal


def test_a_result_goes_on_to_other_tabs(extras, files):
    add(extras, files / "one.png")
    generate(extras)
    results(extras, 1)
    extras.locator("#extras_gallery").get_by_role("button", name="Send to PNG Info").click()
    expect(extras.locator("#html_info")).to_contain_text("77")
    extras.evaluate("atelier.openTab('extras')")
    extras.get_by_role("button", name="Enlarge again").click()
    expect(extras.locator("#extras_image")).to_contain_text("one-large.png, 64 × 48")


def test_other_tabs_send_their_picture_here(extras, files):
    url = "data:image/png;base64," + __import__("base64").b64encode((files / "two.png").read_bytes()).decode()
    extras.evaluate(
        "async (url) => atelier.sendTo('extras', { blob: await (await fetch(url)).blob(), infotext: '' })", url
    )
    expect(extras.locator("#extras_image li")).to_have_count(1)


def test_a_model_that_cannot_describe_says_what_to_do(extras, files):
    """The small models of these tests are not the starter; its answers are tested in tests/engine."""
    add(extras, files / "one.png")
    extras.get_by_role("button", name="Describe").click()
    expect(extras.locator("#extras_problems")).to_contain_text("models/BLIP", timeout=1000 * PATIENCE)
    add(extras, files / "two.png")
    expect(extras.get_by_role("button", name="Describe")).not_to_be_visible()


def test_a_picture_is_described(browser, tmp_path):
    drawn, _ = draw(Spec(subject="cat", colour="red", place="in space"), 5)
    drawn.save(tmp_path / "cat.png")
    (tmp_path / "data").mkdir()
    with serving(tmp_path / "data") as served:
        visitor = Visitor(browser, served)
        page = visitor.open()
        page.evaluate("atelier.openTab('extras')")
        page.locator("#extras_image input[type=file]").first.wait_for(state="attached")
        add(page, tmp_path / "cat.png")
        page.get_by_role("button", name="Describe").click()
        text = page.locator("#extras_image .ax-text")
        expect(text).to_have_text(re.compile("red cat.* in space"), timeout=1000 * PATIENCE)
        said = text.inner_text()
        page.get_by_role("button", name="Use as prompt").click()
        expect(page.locator("#txt2img_prompt textarea")).to_have_value(said)
        visitor.close()
        assert visitor.complaints == []


def test_the_page_says_why_there_are_no_models(extras):
    expect(extras.locator("#extras_note")).to_contain_text("models/ESRGAN")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(browser, server, files, scheme):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "color_scheme": scheme}
    visitor = Visitor(browser, server, **phone)
    page = visitor.open()
    page.evaluate("atelier.openTab('extras')")
    page.locator("#extras_image input[type=file]").first.wait_for(state="attached")
    add(page, files / "one.png")
    generate(page)
    results(page, 1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for button in page.locator("#extras_layout button:visible").all():
        box = button.bounding_box()
        assert box["height"] >= 44, button.inner_text()
    visitor.close()
    assert visitor.complaints == []
