"""The Train tab in a real browser: a newcomer's whole story on the starter, and what the page says before anything starts."""

import json
import re
from io import BytesIO

import pytest
from e2e.conftest import Visitor, serving
from e2e.test_looks_and_keys import UNNAMED
from playwright.sync_api import Page, expect

from modules.starter.spec import Spec
from modules.starter.world import draw

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

STEPS = 8
SMALL = """() => [...document.querySelectorAll('#train_tab :is(button, select, summary, textarea, input:not([type=file]))')]
    .map(one => one.type === 'checkbox' ? one.closest('label') : one)
    .filter(one => one.offsetParent && one.getBoundingClientRect().height < 43.5).map(one => one.outerHTML.slice(0, 120))"""
PICTURES = "input[aria-label='Pictures of your subject']"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with the starter."""
    with serving(tmp_path_factory.mktemp("train"), "--offline") as served:
        yield served


@pytest.fixture
def page(visit, server) -> Page:
    """A fresh visitor at the Train tab."""
    opened = visit(server).open()
    opened.get_by_role("tab", name="Train").click()
    expect(opened.locator("#train_start")).to_be_visible()
    return opened


def picture(number: int, size: int = 128) -> bytes:
    """A cat of the starter's world as PNG."""
    written = BytesIO()
    draw(Spec(subject="cat", colour="orange", place="on the grass", identity=3), number, size)[0].save(written, "PNG")
    return written.getvalue()


def png(name: str, number: int) -> dict:
    return {"name": name, "mimeType": "image/png", "buffer": picture(number)}


def text(name: str, content: str) -> dict:
    return {"name": name, "mimeType": "text/plain", "buffer": content.encode()}


def unfold(page: Page, name: str) -> None:
    page.locator(f"details[data-section='{name}'] > summary").click()


def test_a_newcomer_teaches_the_starter_a_cat(page, visit, server):
    page.get_by_role("button", name="Try it with example pictures").click()
    expect(page.locator(".tr-pictures li[data-level]:not([data-level=''])")).to_have_count(4)
    expect(page.locator("#train_class_noun")).to_have_value("cat")
    expect(page.locator("#train_instance_prompt")).to_have_attribute("placeholder", "a photo of sks cat")
    expect(page.locator(".tr-piece").first).to_be_visible()
    page.fill("#train_max_train_steps", str(STEPS))
    page.fill("#train_num_class_images", "2")
    unfold(page, "Previews")
    page.get_by_label("Preview prompts").fill("a photo of sks cat")
    for name, value in {"every": "4", "steps": "2"}.items():
        page.fill(f"#train_preview_{name}", value)
    expect(page.locator(".tr-bar .tr-plan")).to_contain_text(f"{STEPS}, 4 epochs")
    page.locator("#train_start:enabled").click()
    expect(page.locator(".tr-run-head .tr-chip")).to_be_visible()
    run = re.search(r"#train/([\w-]+)$", page.url)
    assert run
    page.reload()  # closing the browser changes nothing: the address finds the run again
    expect(page.locator(".tr-run-head h2")).to_contain_text("sks-cat")
    expect(page.locator(".tr-run-head .tr-chip")).to_have_text("done")
    expect(page.locator(".tr-strip img")).to_have_count(4)
    page.wait_for_function(
        "[...document.querySelectorAll('.tr-previews img')].filter(one => one.naturalWidth).length == 2"
    )
    expect(page.locator(".tr-step")).to_have_text(f"Step {STEPS}")
    expect(page.locator(".tr-canvas").first).to_have_attribute("aria-label", re.compile(f"step {STEPS}$"))
    expect(page.locator(".tr-files li")).to_have_count(1)
    page.get_by_role("button", name="Use in txt2img").click()
    prompt = page.locator("#txt2img_prompt textarea")
    expect(prompt).to_have_value("a photo of sks cat in the snow <lora:sks-cat:1>")
    page.fill("#txt2img_steps input[type=number]", "2")
    page.click("#txt2img_generate")
    expect(page.locator("#txt2img_progress .at-words")).to_contain_text("Done")
    expect(page.locator("#txt2img_gallery .at-infotext")).to_contain_text("Lora hashes")
    page.get_by_role("tab", name="Train").click()
    page.get_by_role("button", name="Runs", exact=True).click()
    expect(page.locator(".tr-runs li")).to_contain_text(f"{STEPS} of {STEPS} steps")
    page.locator(".tr-run-open").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator(".tr-runs li")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".tr-runs li")).to_have_count(1)


def test_nothing_starts_before_it_can(page):
    reason = page.locator("#train_reason")
    expect(page.locator("#train_start")).to_be_disabled()
    expect(reason).to_have_text("Add pictures of your subject first.")
    files = [png("one.png", 1), png("two.png", 2), text("one.txt", "a photo of sks cat asleep"), text("notes.doc", "x")]
    page.locator(PICTURES).set_input_files(files)
    expect(page.locator(".tr-zone .at-problem-card")).to_contain_text("notes.doc is no picture.")
    expect(page.locator(".tr-pictures li")).to_have_count(2)
    expect(page.locator(".tr-problems")).to_contain_text("Without a class noun")
    page.fill("#train_class_noun", "cat")
    expect(page.locator("#train_start")).to_be_enabled()
    page.fill("#train_learning_rate", "-1")
    expect(reason).to_contain_text("Learning rate is -1")
    expect(page.locator("#train_start")).to_be_disabled()
    page.fill("#train_learning_rate", "")
    unfold(page, "captions")
    expect(page.locator("details[data-section=captions] > summary")).to_contain_text("1 of 2")
    page.get_by_label("Prefix or template").fill("a photo of [identifier] [class noun] at home")
    page.get_by_role("button", name="Write to all").click()
    expect(page.get_by_label("Caption of two.png")).to_have_value("a photo of sks cat at home")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Caption of two.png")).to_have_value("")
    page.locator(PICTURES).set_input_files([png("one again.png", 1)])
    expect(page.locator(".tr-zone .at-problem-card")).to_contain_text("one again.png: it is there already.")
    page.fill("#train_identifier", "special blue")
    expect(page.locator(".tr-piece")).to_have_count(2)
    page.get_by_role("button", name="Another rare token").click()
    expect(page.locator("#train_identifier")).not_to_have_value("special blue")
    page.get_by_label("Prior preservation", exact=True).check()
    expect(page.locator("#train_class_prompt")).to_have_attribute("placeholder", "a photo of cat")
    page.keyboard.press("Tab")
    page.get_by_role("radio", name=re.compile("^LoRA")).press("ArrowRight")
    expect(page.get_by_role("radio", name=re.compile("^LoRA"))).to_have_attribute("aria-checked", "false")
    page.get_by_role("button", name="Take two.png away").click()
    expect(page.locator(".tr-pictures li")).to_have_count(1)


def test_a_drop_settings_as_a_file_and_a_narrow_page(page, tmp_path):
    page.evaluate(
        """bytes => {
            const files = new DataTransfer();
            files.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
            document.querySelector(".tr-zone").dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: files }));
        }""",
        list(picture(7)),
    )
    expect(page.locator(".tr-pictures li img")).to_be_visible()
    page.fill("#train_class_noun", "cat")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save settings").click()
    path = tmp_path / "settings.json"
    saved.value.save_as(path)
    plan = json.loads(path.read_text())
    assert plan["class_noun"] == "cat"
    path.write_text(json.dumps(plan | {"rank": 4, "class_noun": "dog"}))
    page.get_by_role("button", name="Start over").click()
    expect(page.locator(".tr-empty")).to_be_visible()
    page.locator("input[aria-label='Settings file']").set_input_files(path)
    expect(page.locator("#train_class_noun")).to_have_value("dog")
    expect(page.locator("#train_rank")).to_have_value("4")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(SMALL) == []
    assert page.evaluate(UNNAMED) == []


def test_a_run_that_is_not_there(browser, server):
    visitor = Visitor(browser, server)
    page = visitor.context.new_page()
    page.goto(f"{server.address}/#train/{'0' * 32}")
    expect(page.locator("#train_tab .at-problem-card")).to_contain_text("no training")
    page.get_by_role("button", name="All runs").click()
    expect(page.locator(".tr-page .at-note").first).to_be_visible()
    visitor.close()
