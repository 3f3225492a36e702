"""Light and dark, wide and narrow, by keyboard alone, with a screen reader's eyes."""

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.e2e

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(246, 246, 247)", "rgb(19, 20, 23)"
# Every control that a finger can meet on this tab: a number box and its slider are reached through their own height, what
# is ticked through its label.
SMALL_TARGETS = """() => [...document.querySelectorAll('button, a, summary, input:not([type=range]), [role=tab]')]
    .map(one => one.type === 'checkbox' ? one.closest('label') : one)
    .filter(one => one.offsetParent && !one.closest('.visually-hidden') && one.getBoundingClientRect().height < 43.5)
    .map(one => one.outerHTML.slice(0, 120))"""
UNNAMED = """() => [...document.querySelectorAll('button, a, input, textarea')]
    .filter(one => one.offsetParent && !one.closest('.visually-hidden'))
    .filter(one => !(one.getAttribute('aria-label') || one.labels?.length || one.textContent.trim() || one.title))
    .map(one => one.outerHTML.slice(0, 120))"""


def start(page: Page, width: str = "64", steps: str = "150", batch_count: str = "1") -> None:
    page.fill("#txt2img_prompt textarea", "a cat")
    for name, value in {"width": width, "height": width, "steps": steps, "batch_count": batch_count}.items():
        page.fill(f"#txt2img_{name} input[type=number]", value)
    page.keyboard.press("Control+Enter")


def words(page: Page):
    return page.locator("#txt2img_progress .at-words")


@pytest.mark.parametrize(("scheme", "ground"), [("light", LIGHT), ("dark", DARK)])
def test_the_look_follows_the_system(visit, scheme, ground):
    page = visit(color_scheme=scheme).open()
    assert page.evaluate(BACKGROUND) == ground


def test_the_toggle_wins_and_is_remembered(visit):
    page = visit(color_scheme="light").open()
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate(BACKGROUND) == DARK
    page.reload()
    expect(page.locator("#txt2img_generate")).to_be_visible()
    assert page.evaluate(BACKGROUND) == DARK
    page.emulate_media(color_scheme="dark")
    page.emulate_media(color_scheme="light")
    page.wait_for_timeout(100)
    assert page.evaluate(BACKGROUND) == DARK


def test_a_phone_sees_one_column_without_sideways_scrolling(visit):
    page = visit(**PHONE).open()
    for tab in ("txt2img", "png_info", "queue"):
        page.evaluate(f"atelier.openTab('{tab}')")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), tab
    page.evaluate("atelier.openTab('txt2img')")
    for section in page.locator(".at-section > button.label-wrap").all():
        expect(section).to_have_attribute("aria-expanded", "false")
        section.click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(SMALL_TARGETS) == []


def test_generate_stays_in_reach_on_a_phone(visit):
    page = visit(**PHONE).open()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(page.locator("#txt2img_generate")).to_be_in_viewport()
    expect(words(page)).to_be_in_viewport()


def test_every_control_has_a_name(page):
    for tab in ("txt2img", "queue", "extensions"):
        page.evaluate(f"atelier.openTab('{tab}')")
        assert page.evaluate(UNNAMED) == []


def test_making_a_picture_with_the_keyboard_alone(page):
    page.locator("#txt2img_prompt textarea").focus()
    page.keyboard.type("a cat")
    visited = []
    for _ in range(4):
        page.keyboard.press("Tab")
        visited.append(page.evaluate("document.activeElement.closest('[id^=txt2img_]')?.id"))
    assert visited[:2] == ["txt2img_neg_prompt", "txt2img_generate"]
    page.locator("#txt2img_steps input[type=number]").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("2")
    page.locator("#txt2img_generate").focus()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    page.keyboard.press("Enter")
    expect(words(page)).to_contain_text("Done")
    page.keyboard.press("Tab")
    assert outline == "solid"


def test_progress_is_spoken_politely_and_rarely(page):
    page.evaluate(
        """() => { window.spoken = []; const region = document.getElementById('at_announcer');
        new MutationObserver(() => window.spoken.push(region.textContent)).observe(region, {childList: true, characterData: true, subtree: true}); }"""
    )
    expect(page.locator("#at_announcer")).to_have_attribute("aria-live", "polite")
    start(page, steps="40")
    expect(words(page)).to_contain_text("Done")
    spoken = page.evaluate("window.spoken")
    assert "Done" in spoken[-1]
    assert len(spoken) <= 7


def test_escape_interrupts(page):
    start(page, width="256")
    expect(words(page)).to_contain_text("step")
    page.keyboard.press("Escape")
    expect(words(page)).to_contain_text("Interrupted")


def test_alt_enter_skips(page):
    start(page, width="256", batch_count="2")
    expect(words(page)).to_contain_text("step")
    page.keyboard.press("Alt+Enter")
    expect(words(page)).to_have_text(re.compile("^5\\d %"))
    page.keyboard.press("Escape")
    expect(words(page)).to_contain_text("Interrupted")


def test_control_enter_again_starts_anew(page, server):
    start(page, width="256")
    expect(words(page)).to_contain_text("step")
    page.fill("#txt2img_steps input[type=number]", "2")
    page.keyboard.press("Control+Enter")
    expect(words(page)).to_contain_text("Done")
    newest, before = server.jobs()[:2]
    assert (newest["state"], before["state"]) == ("done", "interrupted")


@pytest.mark.parametrize(
    ("text", "select", "keys", "expected"),
    [
        ("a red cat", (3, 3), ["ArrowUp"], "a (red:1.1) cat"),
        ("a red cat", (2, 9), ["ArrowUp", "ArrowUp"], "a (red cat:1.2)"),
        ("a (red:1.2) cat", (4, 4), ["ArrowDown"], "a (red:1.1) cat"),
        ("a (red:1.1) cat", (4, 4), ["ArrowDown"], "a red cat"),
        ("a red cat", (3, 3), ["ArrowDown"], "a (red:0.9) cat"),
    ],
)
def test_control_and_arrows_change_the_weight(page, text, select, keys, expected):
    box = page.locator("#txt2img_prompt textarea")
    box.fill(text)
    box.evaluate(f"box => box.setSelectionRange({select[0]}, {select[1]})")
    for key in keys:
        page.keyboard.press(f"Control+{key}")
    expect(box).to_have_value(expected)


def test_a_question_mark_lists_the_keys_but_not_while_typing(page):
    page.locator("#txt2img_generate").focus()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.locator("#txt2img_prompt textarea").focus()
    page.keyboard.type("what?")
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("what?")
    expect(dialog).to_have_count(0)


def test_folded_sections_stay_folded(page):
    head = page.locator("#txt2img_seed_section > button.label-wrap")
    expect(head).to_have_attribute("aria-expanded", "true")
    head.click()
    expect(head).to_have_attribute("aria-expanded", "false")
    page.reload()
    expect(page.locator("#txt2img_seed_section > button.label-wrap")).to_have_attribute("aria-expanded", "false")
    expect(page.locator("#txt2img_seed")).not_to_be_visible()
