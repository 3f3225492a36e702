"""Generate, look on, stop, come back: with a small random model, through a real browser."""

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

LONG = {"width": "256", "height": "256", "steps": "150"}  # some seconds
MANY = LONG | {"batch_count": "12"}  # a minute on any machine; stopped by the test


def fill(page: Page, prompt: str = "a cat", **numbers: str) -> None:
    page.fill("#txt2img_prompt textarea", prompt)
    for name, value in numbers.items():
        selector = "#txt2img_seed textarea" if name == "seed" else f"#txt2img_{name} input[type=number]"
        page.fill(selector, value)


def start(page: Page, **numbers: str) -> None:
    fill(page, **numbers)
    page.click("#txt2img_generate")


def words(page: Page):
    return page.locator("#txt2img_progress .at-words")


def result(page: Page):
    return page.locator("#txt2img_gallery .at-open img")


def preview(page: Page):
    return page.locator("#txt2img_gallery img.at-preview")


def interrupt(page: Page) -> None:
    page.click("#txt2img_interrupt")
    expect(words(page)).to_contain_text("Interrupted")


def test_a_picture_with_its_text(page):
    start(page, prompt="a small cat", seed="7", steps="3")
    expect(words(page)).to_contain_text("Done")
    text = page.locator("#txt2img_gallery .at-infotext")
    expect(text).to_contain_text("a small cat")
    expect(text).to_contain_text(
        "Steps: 3, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 7, Size: 64x64"
    )
    assert result(page).evaluate("image => [image.naturalWidth, image.naturalHeight]") == [64, 64]


def test_a_click_is_answered_before_the_server_is(page):
    held = []
    page.route("**/gradio_api/run/**", lambda route: held.append(route))
    start(page, steps="3")
    expect(words(page)).to_have_text("Sending…")
    for route in held:
        route.continue_()
    page.unroute("**/gradio_api/run/**")
    expect(words(page)).to_contain_text("Done")


def test_previews_and_progress_while_it_forms(page):
    start(page, **LONG)
    expect(words(page)).to_have_text(re.compile(r"\d+ % · step \d+ of 150 · .* left"))
    expect(preview(page)).to_be_visible()
    page.wait_for_function("document.querySelector('#txt2img_gallery img.at-preview').naturalWidth > 0")
    assert 0 < int(page.locator("#txt2img_progress [role=progressbar]").get_attribute("aria-valuenow")) < 100
    interrupt(page)


def test_a_reload_finds_the_running_job(page):
    start(page, **MANY)
    expect(words(page)).to_contain_text("step")
    page.reload()
    expect(words(page)).to_contain_text("step")
    expect(preview(page)).to_be_visible()
    interrupt(page)


def test_a_second_tab_finds_it_too_and_gets_the_picture(visit):
    visitor = visit()
    first = visitor.open()
    start(first, **MANY, seed="5")
    expect(words(first)).to_contain_text("step")
    second = visitor.context.new_page()
    second.goto(visitor.server.address)
    expect(words(second)).to_contain_text("step")
    expect(second.locator(".at-thumb")).not_to_have_count(0)
    interrupt(first)
    expect(words(second)).to_contain_text("what was finished is kept")
    expect(second.locator("#txt2img_gallery .at-infotext")).to_contain_text("Seed:")


def test_interrupting_keeps_what_is_finished(page):
    start(page, batch_count="100", steps="5")
    expect(page.locator(".at-thumb")).not_to_have_count(0)
    interrupt(page)
    expect(result(page)).to_be_visible()
    expect(words(page)).to_contain_text("what was finished is kept")


def test_skip_leaves_one_batch(page):
    start(page, batch_count="2", width="256", height="256", steps="150")
    expect(words(page)).to_contain_text("step")
    page.click("#txt2img_skip")
    expect(words(page)).to_have_text(re.compile("^5\\d %"))  # the second half began
    interrupt(page)


def test_a_second_job_waits_for_the_first(visit, server):
    visitor = visit()
    page, other = visitor.open(), visit().open()
    start(page, **MANY)
    expect(words(page)).to_contain_text("step")
    start(other, steps="2")
    expect(page.locator("#at_status")).to_contain_text("Queue 2")
    interrupt(page)
    expect(words(other)).to_contain_text("Done")


def test_the_pictures_survive_a_reload(page):
    start(page, steps="2", seed="11")
    expect(words(page)).to_contain_text("Done")
    page.reload()
    expect(page.locator("#txt2img_gallery .at-infotext")).to_contain_text("Seed: 11")


def test_a_batch_shows_all_and_arrows_walk_through_it(page):
    start(page, steps="2", batch_size="3", seed="20")
    expect(words(page)).to_contain_text("3 pictures")
    text = page.locator("#txt2img_gallery .at-infotext")
    expect(text).to_contain_text("Seed: 20")
    page.locator(".at-strip").focus()
    page.keyboard.press("ArrowRight")
    expect(text).to_contain_text("Seed: 21")
    page.keyboard.press("Enter")
    large = page.locator("dialog.at-large")
    expect(large).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    expect(large).to_have_count(0)
    expect(text).to_contain_text("Seed: 22")


def test_reuse_puts_the_settings_back(page):
    start(page, prompt="a reused cat", steps="4", seed="33", cfg_scale="4.5")
    expect(words(page)).to_contain_text("Done")
    fill(page, prompt="something else", steps="9", seed="-1", cfg_scale="9")
    page.get_by_role("button", name="Reuse settings").click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("a reused cat")
    expect(page.locator("#txt2img_steps input[type=number]")).to_have_value("4")
    expect(page.locator("#txt2img_cfg_scale input[type=number]")).to_have_value("4.5")
    expect(page.locator("#txt2img_seed textarea")).to_have_value("33")
