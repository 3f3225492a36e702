"""Queue, PNG Info and Extensions, and a server that goes away and comes back."""

import re

import pytest
from e2e.conftest import Visitor, add_small_model, serving
from PIL import Image
from playwright.sync_api import Page, expect
from safetensors.torch import load_file, save_file

from modules.core.tensorfile import read_header
from modules.imaging.metadata import png_bytes

pytestmark = pytest.mark.e2e

TEXT = "a dropped cat\nNegative prompt: dogs\nSteps: 9, Sampler: Euler, Schedule type: Automatic, CFG scale: 3.5, Seed: 77, Size: 96x64"


def start(page: Page, prompt: str, width: str = "64", steps: str = "2") -> None:
    page.fill("#txt2img_prompt textarea", prompt)
    for name, value in {"width": width, "height": width, "steps": steps}.items():
        page.fill(f"#txt2img_{name} input[type=number]", value)
    page.click("#txt2img_generate")


def words(page: Page):
    return page.locator("#txt2img_progress .at-words")


@pytest.fixture(scope="module")
def ailing(tmp_path_factory):
    """A server with a model whose numbers are none, and with an extension that raises."""
    data = tmp_path_factory.mktemp("ailing")
    path = add_small_model(data)
    tensors, metadata = load_file(path), dict(read_header(path).metadata)
    nowhere = {name: one * float("nan") for name, one in tensors.items() if "diffusion_model.out." in name}
    save_file(tensors | nowhere, path, metadata)
    folder = data / "extensions" / "clumsy"
    folder.mkdir(parents=True)
    (folder / "plugin.py").write_text("raise RuntimeError('I do not work <today>')\n")
    with serving(data) as served:
        yield served


@pytest.mark.alone
def test_the_queue_lists_jobs_and_cancels_a_waiting_one(visit):
    page = visit().open()
    start(page, "the long one", width="256", steps="150")
    expect(words(page)).to_contain_text("step")
    start(page, "the waiting one")
    page.get_by_role("tab", name="Queue").click()
    waiting = page.locator("#queue_jobs li", has_text="the waiting one")
    expect(waiting).to_contain_text("waiting · next")
    waiting.get_by_role("button", name=re.compile("Cancel")).click()
    expect(waiting).to_contain_text("cancelled")
    running = page.locator("#queue_jobs li", has_text="the long one")
    running.get_by_role("button", name=re.compile("Interrupt")).click()
    expect(running).to_contain_text("interrupted")


def test_a_pictures_text_is_sent_to_txt2img(page, tmp_path):
    (tmp_path / "picture.png").write_bytes(png_bytes(Image.new("RGB", (96, 64), "red"), TEXT))
    page.get_by_role("tab", name="PNG Info").click()
    page.locator("#pnginfo_image input[type=file]").set_input_files(tmp_path / "picture.png")
    expect(page.locator("#html_info")).to_contain_text("77")
    page.get_by_role("button", name="Send to txt2img").click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("a dropped cat")
    expect(page.locator("#txt2img_seed textarea")).to_have_value("77")
    expect(page.locator("#txt2img_width input[type=number]")).to_have_value("96")
    expect(page.locator("#txt2img_sampling input")).to_have_value("Euler")


def test_a_broken_extension_is_listed_with_its_reason(visit, ailing):
    page = visit(ailing).open()
    page.get_by_role("tab", name="Extensions").click()
    expect(page.locator("#extensions_table")).to_contain_text("clumsy")
    expect(page.locator("#extensions_table")).to_contain_text("I do not work <today>")


@pytest.mark.alone
def test_a_restart_of_the_server_loses_no_job(tmp_path, browser):
    add_small_model(tmp_path)
    with serving(tmp_path) as served:
        visitor = Visitor(browser, served)
        page = visitor.open()
        start(page, "a patient cat", width="256", steps="150")
        expect(words(page)).to_contain_text("step")
        served.stop()
        expect(words(page)).to_contain_text("it may be restarting")
        served.start()
        expect(words(page)).to_contain_text("step")
        expect(page.locator("#txt2img_prompt textarea")).to_have_value("a patient cat")
        page.click("#txt2img_interrupt")
        expect(words(page)).to_contain_text("Interrupted")
        visitor.close()


def test_a_failed_job_says_why_beside_the_picture(visit, ailing):
    """A model whose numbers are none draws nothing that could be shown."""
    page = visit(ailing).open()
    start(page, "a cat of no number")
    card = page.locator("#txt2img_gallery .at-problem-card")
    expect(card.locator("p")).to_contain_text("numbers that are not finite")
    expect(card.locator("pre")).not_to_be_visible()
    page.reload()
    expect(card.locator("p")).to_contain_text("numbers that are not finite")
    card.locator("summary").click()
    expect(card.locator("pre")).to_contain_text("Traceback")
