"""The img2img tab: what is painted is what is sent, nothing painted is lost, and pictures find their way here."""

import base64
import re

import httpx
import numpy as np
import pytest
from e2e.conftest import Visitor, add_small_model, serving
from e2e.editing import (
    brush,
    choose,
    drawn,
    file_of,
    finished,
    fresh,
    mask_picture,
    open_picture,
    pixels_of,
    problem,
    request_of,
    sent,
    shown_mask,
    spot,
    stored,
    stroke,
    words,
)
from PIL import Image
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of its own: the model's size is near that of the pictures here."""
    data = tmp_path_factory.mktemp("editing")
    add_small_model(data, size=128)
    with serving(data) as served:
        yield served


@pytest.fixture(scope="module")
def edit_page(browser, server):
    visitor = Visitor(browser, server)
    page = visitor.open()
    page.evaluate("atelier.openTab('img2img')")
    page.locator("at-canvas").wait_for()
    yield visitor, page
    visitor.close()


@pytest.fixture
def page(edit_page) -> Page:
    visitor, page = edit_page
    visitor.complaints.clear()
    fresh(page)
    yield page
    assert visitor.complaints == []
    assert visitor.foreign == []


@pytest.fixture
def picture(page, tmp_path):
    """128 x 96 pixels on the canvas; answers the file's path."""
    path = file_of(tmp_path, drawn())
    open_picture(page, path)
    return path


def number(page: Page, name: str):
    return page.locator(f"#img2img_{name} input[type=number]")


# -- what is there ----------------------------------------------------------------------------------------------------


def test_the_elements_of_the_field_are_there(page):
    fields = ["prompt", "neg_prompt", "sampling", "scheduler", "steps", "width", "height", "batch_count", "batch_size"]
    more = ["cfg_scale", "denoising_strength", "seed", "mask_blur", "inpainting_fill", "inpaint_full_res", "mask_mode"]
    parts = ["generate", "interrupt", "skip", "gallery", "inpaint_full_res_padding", "scale", "image_cfg_scale"]
    head = page.locator("#img2img_more_section > button.label-wrap")
    expect(head).to_have_attribute("aria-expanded", "false")
    head.click()
    for name in [*fields, *more, *parts]:
        expect(page.locator(f"#img2img_{name}")).to_have_count(1)
    expect(page.locator("#img2maskimg")).to_be_visible()
    expect(page.locator("#mode_img2img [role=tab]")).to_have_text(
        ["img2img", "Sketch", "Inpaint", "Inpaint sketch", "Inpaint upload", "Batch"]
    )


def test_inpainting_is_asked_about_only_where_there_is_a_mask(page):
    blur = page.locator("#img2img_mask_blur")
    expect(blur).not_to_be_visible()
    choose(page, "inpaint")
    expect(blur).to_be_visible()
    expect(page.locator("#img2img_mask_alpha")).not_to_be_visible()
    choose(page, "inpaint_sketch")
    expect(page.locator("#img2img_mask_alpha")).to_be_visible()


# -- what is sent -------------------------------------------------------------------------------------------------------


def test_without_a_picture_nothing_is_queued_and_the_reason_stands_at_the_canvas(page, server):
    before = len(server.jobs())
    page.click("#img2img_generate")
    expect(problem(page)).to_contain_text("There is no picture to start from")
    expect(words(page)).to_have_text("Nothing was queued: see the canvas.")
    assert len(server.jobs()) == before


def test_an_empty_mask_is_refused_at_the_canvas(page, server, picture):
    before = len(server.jobs())
    choose(page, "inpaint")
    page.click("#img2img_generate")
    expect(problem(page)).to_contain_text("the mask is empty")
    assert len(server.jobs()) == before
    stroke(page, (20, 20), (40, 20))
    page.click("#img2img_generate")
    expect(problem(page)).to_have_count(0)


def test_the_file_itself_is_sent_when_nothing_was_painted(page, server, picture):
    page.fill("#img2img_prompt textarea", "a cat")
    request = sent(page, server)
    assert [stored(server, one) for one in request["init_images"]] == [picture.read_bytes()]
    assert request["mask"] == ""
    assert request["prompt"] == "a cat"
    assert (request["width"], request["height"]) == (128, 96)


def test_the_mask_that_is_sent_is_what_was_painted(page, server, picture):
    choose(page, "inpaint")
    brush(page, 16)
    stroke(page, (32, 48), (96, 48))
    request = sent(page, server)
    mask = pixels_of(stored(server, request["mask"]))
    assert mask.shape == (96, 128, 3)
    assert (mask[42:55, 30:98] == 255).all()
    assert (mask[:38] == 0).all()
    assert (mask[58:] == 0).all()
    assert (mask[:, :22] == 0).all()
    assert (mask[:, 106:] == 0).all()
    assert stored(server, request["init_images"][0]) == picture.read_bytes()
    assert request["mask_blur_x"] == request["mask_blur_y"] == 4


def test_one_slider_sets_the_blur_in_both_directions(page, server, picture):
    choose(page, "inpaint")
    stroke(page, (32, 48), (96, 48))
    number(page, "mask_blur").fill("11")
    number(page, "mask_blur").blur()
    request = sent(page, server)
    assert (request["mask_blur_x"], request["mask_blur_y"]) == (11, 11)


def test_a_sketch_is_sent_with_its_colours(page, server, picture):
    choose(page, "sketch")
    brush(page, 20)
    page.locator("at-canvas input[type=color]").fill("#00ff00")
    stroke(page, (20, 48), (108, 48))
    request = sent(page, server)
    sketch = pixels_of(stored(server, request["init_images"][0]))
    assert (sketch[44:52, 20:108] == (0, 255, 0)).all()
    assert (sketch[:34] == pixels_of(picture.read_bytes())[:34]).all()
    assert request["mask"] == ""


def test_an_inpaint_sketch_sends_colour_and_mask(page, server, picture):
    choose(page, "inpaint_sketch")
    brush(page, 20)
    page.locator("at-canvas input[type=color]").fill("#0000ff")
    stroke(page, (20, 48), (108, 48))
    request = sent(page, server)
    coloured = pixels_of(stored(server, request["init_images"][0]))
    mask = pixels_of(stored(server, request["mask"]))
    assert (coloured[44:52, 20:108] == (0, 0, 255)).all()
    assert (mask[44:52, 20:108] == 255).all()
    assert (mask[:34] == 0).all()


def test_transparency_mixes_the_colour_with_the_picture(page, server, picture):
    choose(page, "inpaint_sketch")
    brush(page, 20)
    page.locator("at-canvas input[type=color]").fill("#000000")
    stroke(page, (20, 48), (108, 48))
    page.locator("#img2img_mask_alpha").fill("0.5")
    request = sent(page, server)
    mixed = pixels_of(stored(server, request["init_images"][0]))[48, 64].astype(int)
    assert np.abs(mixed - pixels_of(picture.read_bytes())[48, 64] / 2).max() <= 2
    assert pixels_of(stored(server, request["mask"]))[48, 64].tolist() == [255, 255, 255]


def test_a_mask_from_a_file(page, server, picture, tmp_path):
    choose(page, "inpaint_upload")
    white = file_of(tmp_path, mask_picture(64, 48, (16, 12, 47, 35)), "mask.png")  # half as large: it is stretched
    page.locator("at-canvas .ac-foot input[type=file]").nth(1).set_input_files(white)
    page.wait_for_function("atelier.sheet.mask !== null")
    mask = pixels_of(stored(server, sent(page, server)["mask"]))[..., 0]
    assert (mask[28:68, 36:92] == 255).all()
    assert (mask[:20] == 0).all()
    assert (mask[:, :28] == 0).all()


def test_a_batch_is_one_job_for_each_picture(page, server, tmp_path):
    files = [file_of(tmp_path, drawn(64 + 8 * at, 64), f"{at}.png") for at in range(3)]
    choose(page, "batch")
    page.locator("#img2img_batch_files").set_input_files(files)
    expect(page.locator(".ac-batch li")).to_have_count(3)
    page.get_by_role("button", name="Take 1.png from the list").click()
    page.click("#img2img_tab_resize_by")
    before = {one["id"] for one in server.jobs()}
    page.click("#img2img_generate")
    expect(page.locator(".ac-batch li[data-state=sent]")).to_have_count(2)
    requests = [request_of(server, one["id"]) for one in server.jobs() if one["id"] not in before]
    assert [stored(server, one["init_images"][0]) for one in reversed(requests)] == [
        files[0].read_bytes(),
        files[2].read_bytes(),
    ]
    assert [(one["width"], one["height"]) for one in reversed(requests)] == [(64, 64), (80, 64)]
    page.click("#img2img_generate")
    expect(problem(page)).to_contain_text("All of these pictures were sent")


def test_the_list_of_a_batch_survives_a_reload(page, tmp_path):
    choose(page, "batch")
    page.locator("#img2img_batch_files").set_input_files(
        [file_of(tmp_path, drawn(64, 64), f"{at}.png") for at in (1, 2)]
    )
    page.get_by_role("button", name="Clear the list").click()
    expect(page.locator(".ac-batch li")).to_have_count(0)
    page.get_by_role("button", name="Undo", exact=True).click()
    page.get_by_role("button", name="Take 1.png from the list").click()
    expect(page.locator(".ac-batch li")).to_have_count(1)
    page.wait_for_timeout(200)
    page.reload()
    page.wait_for_function("window.atelier?.edit?.batch.files.length === 1")
    page.evaluate("atelier.openTab('img2img')")
    expect(page.locator(".ac-batch img")).to_have_attribute("alt", "2.png")


def test_resizing_by_a_factor_shows_and_sends_the_size(page, server, picture):
    page.click("#img2img_tab_resize_by")
    page.locator("#img2img_scale").fill(str((1.5 - 0.05) / 3.95))
    expect(page.locator("#img2img_scale_resolution_preview")).to_have_text("128×96 → 192×144")
    request = sent(page, server)
    assert (request["width"], request["height"]) == (192, 144)


def test_the_size_follows_the_picture_until_the_user_sets_one(page, picture, tmp_path):
    expect(number(page, "width")).to_have_value("128")
    expect(number(page, "height")).to_have_value("96")
    number(page, "width").fill("200")
    number(page, "width").blur()
    page.locator("at-canvas .ac-foot input[type=file]").first.set_input_files(
        file_of(tmp_path, drawn(80, 80), "other.png")
    )
    expect(page.locator("at-canvas .ac-words").first).to_contain_text("80×80")
    expect(number(page, "width")).to_have_value("200")
    page.click("#img2img_detect_image_size_btn")
    expect(number(page, "width")).to_have_value("80")


def test_a_refusal_of_the_server_stands_at_its_field(page, server, picture):
    before = len(server.jobs())
    number(page, "width").fill("7")
    page.click("#img2img_generate")
    expect(page.locator("#img2img_width .at-problem")).to_contain_text("Width is 7")
    assert len(server.jobs()) == before


def test_a_server_that_does_not_take_the_picture_is_told_about_and_nothing_is_lost(edit_page, page, picture):
    page.route("**/api/v1/inputs", lambda route: route.abort())
    page.click("#img2img_generate")
    expect(problem(page)).to_contain_text("The server does not answer")
    page.unroute("**/api/v1/inputs")
    edit_page[0].complaints.clear()  # the browser's own line about the request that failed
    page.click("#img2img_generate")
    finished(page)


# -- outpainting ----------------------------------------------------------------------------------------------------------


def test_outpainting_by_numbers_is_sent(page, server, picture):
    page.get_by_role("button", name="Outpainting: extend the picture").click()
    page.fill("#img2img_outpaint_right", "40")
    page.fill("#img2img_outpaint_up", "30")  # in whole eights
    page.keyboard.press("Tab")
    expect(page.locator("at-canvas .ac-words").first).to_contain_text("128×96 → 168×128")
    expect(number(page, "width")).to_have_value("168")
    assert sent(page, server)["outpaint"] == [0, 32, 40, 0]


def test_outpainting_by_its_handles(page, picture):
    page.get_by_role("button", name="Outpainting: extend the picture").click()
    start, end = spot(page, 128, 48), spot(page, 152, 48)
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=5)
    page.mouse.up()
    assert page.evaluate("atelier.sheet.outpaint") == [0, 0, 24, 0]
    expect(page.locator("#img2img_outpaint_right")).to_have_value("24")
    page.keyboard.press("Control+z")
    assert page.evaluate("atelier.sheet.outpaint") == [0, 0, 0, 0]
    page.keyboard.press("Control+y")
    assert page.evaluate("atelier.sheet.outpaint") == [0, 0, 24, 0]


# -- painting -----------------------------------------------------------------------------------------------------------------


def test_undo_and_redo_bring_the_mask_back(page, picture):
    choose(page, "inpaint")
    stroke(page, (20, 20), (60, 20))
    one = shown_mask(page)
    stroke(page, (20, 60), (60, 60))
    two = shown_mask(page)
    assert (one != two).any()
    page.keyboard.press("Control+z")
    assert (shown_mask(page) == one).all()
    page.keyboard.press("Control+z")
    assert not shown_mask(page).any()
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("Control+y")
    assert (shown_mask(page) == two).all()
    page.get_by_role("button", name="Undo (Ctrl+Z)").click()
    assert (shown_mask(page) == one).all()


def test_a_new_stroke_forgets_what_was_undone(page, picture):
    choose(page, "inpaint")
    stroke(page, (20, 20), (60, 20))
    page.keyboard.press("Control+z")
    stroke(page, (20, 60), (60, 60))
    expect(page.get_by_role("button", name="Redo (Ctrl+Shift+Z)")).to_be_disabled()


def test_the_eraser_takes_away(page, picture):
    choose(page, "inpaint")
    brush(page, 20)
    stroke(page, (20, 48), (108, 48))
    page.keyboard.press("e")
    expect(page.get_by_role("button", name="Eraser (E)")).to_have_attribute("aria-pressed", "true")
    stroke(page, (64, 20), (64, 80))
    mask = shown_mask(page)
    assert mask[48, 64] == 0
    assert mask[48, 30] == 255
    page.keyboard.press("b")
    stroke(page, (64, 48), (65, 48))
    assert shown_mask(page)[48, 64] == 255


def test_invert_fill_and_clear_with_ten_seconds_to_undo(page, picture):
    choose(page, "inpaint")
    brush(page, 20)
    stroke(page, (20, 48), (108, 48))
    painted = shown_mask(page)
    page.get_by_role("button", name="Invert the mask").click()
    assert (shown_mask(page) == 255 - painted).all()
    page.get_by_role("button", name="Mask everything").click()
    assert (shown_mask(page) == 255).all()
    page.get_by_role("button", name="Clear the mask").click()
    assert not shown_mask(page).any()
    page.get_by_role("button", name="Undo", exact=True).click()
    assert (shown_mask(page) == 255).all()


def test_a_soft_brush_has_a_soft_edge(page, picture):
    choose(page, "inpaint")
    brush(page, 40, softness=1)
    stroke(page, (64, 48), (64, 48))
    row = shown_mask(page)[48].astype(int)
    assert row[64] >= 250
    assert 0 < row[76] < 250
    assert row[88] == 0
    assert (np.diff(row[64:90]) <= 0).all()


def test_painting_hits_the_right_place_when_zoomed_and_moved(page, picture):
    choose(page, "inpaint")
    brush(page, 6)
    page.locator(".ac-stage").hover()
    for _ in range(5):
        page.keyboard.press("+")
    before = page.evaluate("document.querySelector('at-canvas').place.x")
    page.keyboard.down(" ")
    page.mouse.down()
    page.mouse.move(*[at + 40 for at in spot(page, 64, 48)], steps=4)
    page.mouse.up()
    page.keyboard.up(" ")
    assert page.evaluate("document.querySelector('at-canvas').place.x") != before
    assert not shown_mask(page).any()
    stroke(page, (60, 50), (68, 50))
    mask = shown_mask(page)
    assert mask[50, 64] == 255
    assert not mask[:40].any()
    assert not mask[60:].any()
    page.keyboard.press("0")
    assert page.evaluate("document.querySelector('at-canvas').place.fitted")


def test_the_wheel_zooms_at_the_pointer_while_the_canvas_is_used_and_else_scrolls(page, picture):
    place = "document.querySelector('at-canvas').place"
    choose(page, "inpaint")
    page.mouse.move(*spot(page, 30, 30))
    start = page.evaluate(place)["scale"]
    page.mouse.wheel(0, 100)
    page.wait_for_function("scrollY > 0")
    assert page.evaluate(place)["scale"] == start
    page.evaluate("scrollTo(0, 0)")
    stroke(page, (30, 30), (30, 30))
    under = spot(page, 30, 30)
    page.mouse.wheel(0, -300)
    page.wait_for_function(f"{place}.scale > {start}")
    assert np.allclose(spot(page, 30, 30), under, atol=2)


def test_brackets_change_the_size_of_the_brush(page, picture):
    choose(page, "inpaint")
    page.locator(".ac-stage").hover()
    size = page.evaluate("atelier.tools.size")
    page.keyboard.press("]")
    page.keyboard.press("]")
    larger = page.evaluate("atelier.tools.size")
    page.keyboard.press("[")
    assert size < page.evaluate("atelier.tools.size") < larger
    expect(page.locator(".ac-slider output").first).to_have_text(f"{page.evaluate('atelier.tools.size')} px")


def test_keys_do_nothing_while_somebody_writes(page, picture):
    choose(page, "inpaint")
    page.locator("#img2img_prompt textarea").focus()
    page.keyboard.type("be [f] 0")
    expect(page.locator("#img2img_prompt textarea")).to_have_value("be [f] 0")
    assert page.evaluate("atelier.tools.tool") == "brush"


def test_painting_with_the_keyboard_alone(page, picture):
    choose(page, "inpaint")
    page.locator(".ac-stage").focus()
    page.keyboard.press("Enter")
    mask = shown_mask(page)
    assert mask[48, 64] == 255
    page.keyboard.down("Shift")
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    page.keyboard.up("Shift")
    assert shown_mask(page)[48, 80] == 255


def test_colour_is_picked_from_the_picture(page, picture):
    choose(page, "sketch")
    page.locator(".ac-stage").hover()
    page.keyboard.press("i")
    page.mouse.click(*spot(page, 32.5, 24.5))
    red, green, blue = pixels_of(picture.read_bytes())[24, 32]
    assert page.evaluate("atelier.tools.colour") == f"#{red:02x}{green:02x}{blue:02x}"
    assert page.evaluate("atelier.tools.tool") == "brush"


def test_a_pens_pressure_changes_the_width(page, picture):
    choose(page, "inpaint")
    brush(page, 30)
    x, y = spot(page, 64, 48)
    page.evaluate(
        f"""() => {{ const stage = document.querySelector('.ac-stage');
        const send = (type, x, pressure) => stage.dispatchEvent(new PointerEvent(type, {{ pointerId: 7, pointerType: 'pen',
            clientX: x, clientY: {y}, pressure, button: 0, bubbles: true }}));
        send('pointerdown', {x}, 0.05); send('pointermove', {x} + 1, 0.05); send('pointerup', {x} + 1, 0); }}"""
    )
    column = shown_mask(page)[:, 64] > 127
    assert 2 <= column.sum() <= 12


def test_two_fingers_zoom_and_paint_nothing_while_one_paints(visit, tmp_path):
    visitor = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = visitor.open()
    page.evaluate("atelier.openTab('img2img')")
    page.locator("at-canvas").wait_for()
    open_picture(page, file_of(tmp_path, drawn()))
    choose(page, "inpaint")
    page.locator(".ac-stage").scroll_into_view_if_needed()
    touch = visitor.context.new_cdp_session(page)

    def send(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": x, "y": y, "id": at} for at, (x, y) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    middle = spot(page, 64, 48)
    scale = page.evaluate("document.querySelector('at-canvas').place.scale")
    send("touchStart", middle)
    send("touchStart", middle, (middle[0] + 30, middle[1]))
    for apart in (40, 60, 90):
        send("touchMove", middle, (middle[0] + apart, middle[1]))
    send("touchEnd")
    assert page.evaluate("document.querySelector('at-canvas').place.scale") > 1.5 * scale
    assert not shown_mask(page).any()
    start = spot(page, 64, 48)
    send("touchStart", start)
    send("touchMove", (start[0] + 20, start[1]))
    send("touchEnd")
    assert shown_mask(page)[48, 64] == 255


def test_the_whole_window_and_back_with_escape(page, picture):
    page.locator(".ac-stage").hover()
    page.keyboard.press("f")
    box = page.locator("at-canvas").bounding_box()
    assert (box["width"], box["height"]) == (1440, 900)
    assert page.locator(".ac-stage").bounding_box()["height"] > 600
    page.keyboard.press("Escape")
    assert page.locator("at-canvas").bounding_box()["width"] < 900


# -- for everybody -----------------------------------------------------------------------------------------------------------------

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
# A check box is reached through its label.
SMALL_TARGETS = """() => [...document.querySelectorAll('button, a, summary, input:not([type=range]), [role=tab]')]
    .map(one => one.type === 'checkbox' ? one.closest('label') : one)
    .filter(one => one.offsetParent && !one.closest('.visually-hidden, .at-offscreen') && one.getBoundingClientRect().height < 43.5)
    .map(one => one.outerHTML.slice(0, 120))"""
UNNAMED = """() => [...document.querySelectorAll('button, a, input, textarea')]
    .filter(one => one.offsetParent && !one.closest('.visually-hidden, .at-offscreen'))
    .filter(one => !(one.getAttribute('aria-label') || one.labels?.length || one.textContent.trim() || one.title))
    .map(one => one.outerHTML.slice(0, 120))"""


def test_a_phone_scrolls_down_only_and_a_finger_hits_everything(visit, tmp_path):
    page = visit(**PHONE).open()
    page.evaluate("atelier.openTab('img2img')")
    page.locator("at-canvas").wait_for()
    open_picture(page, file_of(tmp_path, drawn()))
    page.get_by_role("button", name="Outpainting: extend the picture").click()
    for head in page.locator("#tab_img2img .at-section > button.label-wrap").all():
        if head.is_visible() and head.get_attribute("aria-expanded") == "false":
            head.click()
    for mode in ("img2img", "sketch", "inpaint", "inpaint_sketch", "inpaint_upload", "batch"):
        choose(page, mode)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), mode
        assert page.evaluate(SMALL_TARGETS) == [], mode


def test_every_control_has_a_name(page, picture):
    page.get_by_role("button", name="Outpainting: extend the picture").click()
    for mode in ("img2img", "sketch", "inpaint", "inpaint_sketch", "inpaint_upload", "batch"):
        choose(page, mode)
        assert page.evaluate(UNNAMED) == [], mode


def test_modes_are_walked_with_the_arrows_and_focus_is_seen(page):
    page.locator("#mode_img2img [aria-selected=true]").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#mode_img2img [aria-selected=true]")).to_have_text("Sketch")
    expect(page.locator("#mode_img2img [aria-selected=true]")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#mode_img2img [aria-selected=true]")).to_have_text("Batch")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


# -- nothing is lost --------------------------------------------------------------------------------------------------------------


def test_picture_colour_and_mask_survive_tab_switch_generation_and_reload(page, server, picture):
    choose(page, "sketch")
    stroke(page, (20, 20), (60, 20))
    choose(page, "inpaint")
    stroke(page, (20, 60), (60, 60))
    mask = shown_mask(page)
    page.get_by_role("tab", name="txt2img").first.click()
    page.get_by_role("tab", name="img2img").first.click()
    assert (shown_mask(page) == mask).all()
    sent(page, server)
    finished(page)
    assert (shown_mask(page) == mask).all()
    page.wait_for_function(
        "!atelier.keeper.busy && JSON.stringify(atelier.keeper.saved) === JSON.stringify(atelier.sheet.versions)"
    )
    page.reload()
    page.wait_for_function("window.atelier?.sheet?.picture")
    page.evaluate("atelier.openTab('img2img')")
    page.locator("at-canvas").wait_for()
    expect(page.locator("#mode_img2img [aria-selected=true]")).to_have_text("Inpaint")
    assert (shown_mask(page) == mask).all()
    expect(page.locator("at-canvas .ac-words").first).to_contain_text("128×96 · picture")
    page.wait_for_function("atelier.forms.values('img2img').width == 128")
    assert stored(server, sent(page, server)["init_images"][0]) == picture.read_bytes()
    choose(page, "sketch")
    assert page.evaluate("atelier.sheet.paint !== null")


def test_the_last_stroke_survives_a_reload_at_once(page, picture):
    choose(page, "inpaint")
    stroke(page, (20, 60), (60, 60))
    mask = shown_mask(page)
    page.reload()
    page.wait_for_function("window.atelier?.sheet?.picture")
    kept = shown_mask(page)
    page.evaluate("atelier.openTab('img2img')")
    page.locator("at-canvas").wait_for()
    assert (kept == mask).all()


def test_another_picture_can_be_taken_back(page, picture, tmp_path):
    choose(page, "inpaint")
    stroke(page, (20, 60), (60, 60))
    mask = shown_mask(page)
    page.locator("at-canvas .ac-foot input[type=file]").first.set_input_files(
        file_of(tmp_path, drawn(80, 80), "other.png")
    )
    expect(page.locator("at-canvas .ac-words").first).to_have_text("80×80 · other")
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.locator("at-canvas .ac-words").first).to_have_text("128×96 · picture")
    assert (shown_mask(page) == mask).all()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator(".ac-empty")).to_be_visible()
    page.get_by_role("button", name="Undo", exact=True).click()
    assert (shown_mask(page) == mask).all()


def test_a_file_that_is_no_picture_says_so_and_leaves_the_canvas_alone(page, picture, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture at all")
    page.locator("at-canvas .ac-foot input[type=file]").first.set_input_files(bad)
    expect(problem(page)).to_contain_text("no picture that can be read")
    expect(page.locator("at-canvas .ac-words").first).to_have_text("128×96 · picture")


def test_a_very_large_picture_is_made_smaller_and_the_history_stays_small(page, tmp_path):
    open_picture(page, file_of(tmp_path, Image.new("RGB", (6000, 4000), "teal"), "large.png"))
    expect(page.locator(".ac-note")).to_contain_text("had 6000×4000 pixels and was made smaller")
    assert page.evaluate("atelier.sheet.width * atelier.sheet.height") <= 4096 * 4096
    choose(page, "inpaint")
    for _ in range(6):
        page.get_by_role("button", name="Invert the mask").click()
    bytes_kept = page.evaluate(
        "atelier.sheet.past.reduce((sum, one) => sum + (one.piece ? one.piece.width * one.piece.height * 4 : 0), 0)"
    )
    assert bytes_kept <= 192 * 2**20


# -- ways in and out -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_dropping_and_pasting_a_picture(page, kind, tmp_path):
    content = base64.b64encode(file_of(tmp_path, drawn(72, 64)).read_bytes()).decode()
    page.evaluate(
        f"""async () => {{ const blob = await (await fetch('data:image/png;base64,{content}')).blob();
        const carried = new DataTransfer(); carried.items.add(new File([blob], 'given.png', {{ type: 'image/png' }}));
        const place = document.querySelector('.ac-stage');
        place.dispatchEvent('{kind}' === 'drop' ? new DragEvent('drop', {{ dataTransfer: carried, bubbles: true, cancelable: true }})
            : new ClipboardEvent('paste', {{ clipboardData: carried, bubbles: true, cancelable: true }})); }}"""
    )
    expect(page.locator("at-canvas .ac-words").first).to_have_text("72×64 · given")


def test_an_empty_picture_to_sketch_on(page, server):
    choose(page, "sketch")
    page.get_by_role("button", name="Start with an empty one").click()
    expect(page.locator("at-canvas .ac-words").first).to_contain_text("128×128")
    stroke(page, (10, 32), (50, 32))
    colours = pixels_of(stored(server, sent(page, server)["init_images"][0]))
    assert colours[0, 0].tolist() == [255, 255, 255]
    assert np.abs(colours[32, 32].astype(int) - [0xE5, 0x39, 0x35]).max() <= 1


def test_a_result_of_txt2img_is_sent_here_with_its_settings(page, server):
    page.evaluate("atelier.openTab('txt2img')")
    page.fill("#txt2img_prompt textarea", "a travelling cat")
    page.fill("#txt2img_seed textarea", "41")
    page.fill("#txt2img_steps input[type=number]", "3")
    page.click("#txt2img_generate")
    expect(page.locator("#txt2img_progress .at-words")).to_contain_text("Done")
    page.locator("#txt2img_gallery").get_by_role("button", name="Send to Inpaint", exact=True).click()
    expect(page.locator("#mode_img2img [aria-selected=true]")).to_have_text("Inpaint")
    expect(page.locator("at-canvas .ac-words").first).to_have_text("128×128 · seed 41")
    expect(page.locator("#img2img_prompt textarea")).to_have_value("a travelling cat")
    expect(page.locator("#img2img_seed textarea")).to_have_value("41")
    expect(number(page, "steps")).to_have_value("3")
    source = httpx.get(page.locator("#img2img_gallery .at-open img").get_attribute("src"), timeout=30).content
    stroke(page, (10, 32), (50, 32))
    assert stored(server, sent(page, server)["init_images"][0]) == source


@pytest.mark.parametrize("target", ["Extras", "PNG Info"])
def test_a_result_is_sent_to_a_tab_that_a_phone_keeps_in_a_menu(visit, target):
    page = visit(**PHONE).open()
    page.fill("#txt2img_prompt textarea", "a small cat")
    page.evaluate("atelier.forms.fill('txt2img', { steps: 2, width: 64, height: 64 })")
    page.wait_for_function("atelier.forms.values('txt2img').steps == 2")
    page.click("#txt2img_generate")
    expect(page.locator("#txt2img_progress .at-words")).to_contain_text("Done")
    page.locator("#txt2img_gallery").get_by_role("button", name=f"Send to {target}", exact=True).click()
    expect(page.locator({"Extras": "#tab_extras", "PNG Info": "#tab_png_info"}[target])).to_be_visible()
    if target == "PNG Info":
        expect(page.locator("#html_info")).to_contain_text("a small cat")


def test_seed_and_size_come_along_only_if_the_settings_say_so(visit, server):
    visitor = visit()
    page = visitor.open()
    text = "a cat\nSteps: 9, Sampler: Euler, CFG scale: 3, Seed: 77, Size: 96x72"
    page.evaluate("text => atelier.forms.paste('img2img', text, true)", text)
    expect(number(page, "steps")).to_have_value("9")
    expect(page.locator("#img2img_seed textarea")).to_have_value("77")
    expect(number(page, "height")).to_have_value("72")


def test_the_result_goes_back_to_the_canvas_and_the_mask_stays(page, server, picture):
    choose(page, "inpaint")
    stroke(page, (20, 60), (60, 60))
    mask = shown_mask(page)
    sent(page, server)
    finished(page)
    page.get_by_role("button", name="Edit again").click()
    expect(page.locator("at-canvas .ac-words").first).to_have_text(re.compile(r"128×96 · seed \d+"))
    assert (shown_mask(page) == mask).all()


def test_prompts_are_copied_from_txt2img_and_can_be_taken_back(page):
    page.evaluate("atelier.forms.fill('txt2img', { prompt: 'theirs', negative_prompt: 'not this' })")
    page.wait_for_function("atelier.forms.values('txt2img').prompt === 'theirs'")
    page.fill("#img2img_prompt textarea", "mine")
    page.wait_for_function("atelier.forms.values('img2img').prompt === 'mine'")
    page.click("#img2img_copy_prompts")
    expect(page.locator("#img2img_prompt textarea")).to_have_value("theirs")
    expect(page.locator("#img2img_neg_prompt textarea")).to_have_value("not this")
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.locator("#img2img_prompt textarea")).to_have_value("mine")


def test_control_enter_generates_on_this_tab(page, server, picture):
    before = len(server.jobs())
    page.locator("#img2img_prompt textarea").focus()
    page.keyboard.press("Control+Enter")
    finished(page)
    assert len(server.jobs()) == before + 1
    assert request_of(server, server.jobs()[0]["id"])["init_images"]


# -- with the engine -------------------------------------------------------------------------------------------------------------------


def result_of(page: Page) -> np.ndarray:
    address = page.locator("#img2img_gallery .at-open img").get_attribute("src")
    return pixels_of(httpx.get(address, timeout=30).content)


@pytest.mark.parametrize("area", ["Whole picture", "Only masked"])
def test_pixels_outside_the_mask_come_back_exactly(page, server, picture, area):
    choose(page, "inpaint")
    brush(page, 24)
    stroke(page, (40, 48), (88, 48))
    page.evaluate(f"atelier.forms.fill('img2img', {{ inpaint_area: '{area}', mask_blur_x: 2, denoising_strength: 1 }})")
    page.wait_for_function(f"atelier.forms.values('img2img').inpaint_area === '{area}'")
    sent(page, server)
    finished(page)
    before, after = pixels_of(picture.read_bytes()), result_of(page)
    outside = np.ones(before.shape[:2], bool)
    outside[24:72, 16:112] = False
    assert (after[outside] == before[outside]).all()
    assert (after[44:52, 44:84] != before[44:52, 44:84]).any()


def test_a_low_strength_stays_near_the_picture(page, server, tmp_path):
    open_picture(page, file_of(tmp_path, Image.new("RGB", (64, 64), (200, 40, 40))))
    page.evaluate("atelier.forms.fill('img2img', { denoising_strength: 0, seed: '3' })")
    page.wait_for_function("Number(atelier.forms.values('img2img').denoising_strength) === 0")
    sent(page, server)
    finished(page)
    calm = result_of(page)
    page.evaluate("atelier.forms.fill('img2img', { denoising_strength: 1, seed: '3' })")
    page.wait_for_function("Number(atelier.forms.values('img2img').denoising_strength) === 1")
    sent(page, server)
    finished(page)
    assert (result_of(page) != calm).any()


def test_a_description_that_nothing_here_can_write_says_why(page, picture):
    page.get_by_role("button", name="Describe").click()
    expect(page.locator("#img2img_gallery .at-problem-card p")).to_contain_text("nothing here that can describe")


@pytest.mark.slow
def test_the_starter_describes_a_picture_and_draws_into_its_mask(tmp_path, browser):
    with serving(tmp_path) as served:
        visitor = Visitor(browser, served)
        page = visitor.open()
        page.evaluate("atelier.forms.fill('txt2img', { prompt: 'a red cat in space', seed: '1' })")
        page.wait_for_function("atelier.forms.values('txt2img').seed == '1'")
        page.click("#txt2img_generate")
        expect(page.locator("#txt2img_progress .at-words")).to_contain_text("Done")
        page.locator("#txt2img_gallery").get_by_role("button", name="Send to Inpaint", exact=True).click()
        expect(page.locator("at-canvas .ac-words").first).to_have_text("128×128 · seed 1")
        page.fill("#img2img_prompt textarea", "")  # it came with the picture; what is read below is the description
        page.wait_for_function("atelier.forms.values('img2img').prompt === ''")
        page.get_by_role("button", name="Describe").click()
        expect(page.locator("#img2img_prompt textarea")).to_have_value(re.compile("cat"))
        page.fill("#img2img_prompt textarea", "a red cat wearing a crown in space")
        page.wait_for_function("atelier.forms.values('img2img').prompt.includes('crown')")
        stroke(page, (40, 24), (88, 24))
        sent(page, served)
        finished(page)
        source = page.locator("#img2img_gallery .at-thumb img").last.get_attribute("src")
        before, after = pixels_of(httpx.get(source, timeout=30).content), result_of(page)
        visitor.close()
    assert (before[64:] == after[64:]).all()
    assert (before[16:32, 48:80] != after[16:32, 48:80]).any()
    assert visitor.complaints == []
