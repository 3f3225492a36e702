"""The Models tab and the drawer of networks, in a real browser: cards, prompts, notes, previews, the trash, merges."""

import json
import re

import pytest
from e2e.conftest import Visitor, add_small_model, serving
from playwright.sync_api import Page, expect
from services.test_shelf import LORA, write_tensors

pytestmark = pytest.mark.e2e

HOSTILE = "<img src=x onerror=window.hacked=1>"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with models of every kind."""
    data = tmp_path_factory.mktemp("models")
    add_small_model(data, "a-small")
    add_small_model(data, "b-larger", size=128)
    models = data / "models"
    (models / "Stable-diffusion" / "old.ckpt").write_bytes(b"\x80pickle")
    for name in ("people/style", "people/other", "nice/detail tweaker", HOSTILE.replace("/", "")):
        write_tensors(models / "Lora" / f"{name}.safetensors", LORA, {"ss_tag_frequency": '{"1_x": {"outdoors": 3}}'})
    said = {"activation text": "red hat, cat", "preferred weight": 0.8, "negative text": "blurry"}
    (models / "Lora" / "people" / "style.json").write_text(json.dumps(said))
    write_tensors(data / "embeddings" / "easyneg.safetensors", {"emb_params": (4, 768)})
    write_tensors(models / "VAE" / "sharp.safetensors", {"decoder.x": (2, 2)})
    with serving(data, "--offline") as served:
        yield served


@pytest.fixture
def page(visit, server):
    """A fresh visitor at the Models tab."""
    opened = visit(server).open()
    open_models(opened)
    return opened


def open_models(page: Page) -> None:
    page.get_by_role("tab", name="Models").click()
    expect(page.locator("#models_tab .am-card").first).to_be_visible()


def kind(page: Page, name: str) -> None:
    page.locator(f"#models_tab [data-kind={name}]").click()


def names(page: Page) -> list[str]:
    return page.locator("#models_tab .am-card .am-name").all_inner_texts()


def card(page: Page, name: str):
    return page.locator(".am-card", has=page.locator(".am-name", has_text=re.compile(f"^{re.escape(name)}$")))


def prompt(page: Page, field: str = "prompt"):
    return page.locator(f"#txt2img_{field} textarea")


def test_cards_of_every_kind(page):
    assert names(page)[:3] == ["a-small", "b-larger", "old"]
    expect(card(page, "old")).to_contain_text("cannot be used")
    kind(page, "lora")
    assert sorted(names(page)) == sorted([HOSTILE, "detail tweaker", "other", "style"])
    assert page.evaluate("window.hacked") is None
    expect(card(page, "style")).to_contain_text("SD 1.x")
    kind(page, "upscaler")
    expect(page.locator("#models_tab at-cards")).to_contain_text(
        "There is no upscaler yet. Put a file into models/ESRGAN"
    )


def test_search_folder_and_order(page):
    kind(page, "lora")
    page.locator("#models_tab .am-search").fill("red HAT")
    expect(page.locator("#models_tab .am-card")).to_have_count(1)
    page.locator("#models_tab .am-search").fill("nothing like this")
    expect(page.locator("#models_tab at-cards")).to_contain_text("Nothing fits the search.")
    page.locator("#models_tab .am-search").fill("")
    page.get_by_label("Folder", exact=True).select_option("people")
    assert sorted(names(page)) == ["other", "style"]
    page.get_by_label("Folder", exact=True).select_option("")
    page.get_by_label("Order", exact=True).select_option("largest")
    expect(page.locator("#models_tab .am-card")).to_have_count(4)


def test_a_click_puts_a_network_into_the_prompt_and_out_again(page):
    page.get_by_role("tab", name="txt2img").click()
    prompt(page).fill("a dog")
    open_models(page)
    kind(page, "lora")
    card(page, "style").locator(".am-use").click()
    expect(prompt(page)).to_have_value("a dog <lora:style:0.8> red hat, cat")
    expect(prompt(page, "neg_prompt")).to_have_value("blurry")
    expect(card(page, "style").locator(".am-use")).to_have_attribute("aria-pressed", "true")
    card(page, "other").locator(".am-use").click()
    expect(prompt(page)).to_have_value("a dog <lora:style:0.8> red hat, cat <lora:other:1>")
    card(page, "style").locator(".am-use").click()
    expect(prompt(page)).to_have_value("a dog <lora:other:1>")
    expect(prompt(page, "neg_prompt")).to_have_value("")
    card(page, HOSTILE).locator(".am-use").click()
    expect(page.locator("#at_said")).to_contain_text("rename the file")


def test_the_drawer_over_a_form(page):
    page.get_by_role("tab", name="txt2img").click()
    prompt(page, "neg_prompt").click()
    page.evaluate("atelier.networks.open('txt2img')")
    drawer = page.locator(".am-drawer")
    expect(drawer.locator(".am-search")).to_be_focused()
    drawer.locator("[data-kind=embedding]").click()
    drawer.locator(".am-card .am-use").click()
    expect(prompt(page, "neg_prompt")).to_have_value("easyneg")
    expect(drawer.locator(".am-card .am-use")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)


def test_arrow_keys_and_enter(page):
    page.get_by_role("tab", name="txt2img").click()
    prompt(page).fill("")
    open_models(page)
    kind(page, "lora")
    page.locator("#models_tab .am-card .am-use").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#models_tab .am-card .am-use").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(prompt(page)).to_have_value("<lora:detail tweaker:1>")


def test_a_checkpoint_is_chosen(page):
    card(page, "b-larger").locator(".am-use").click()
    expect(page.locator("#setting_sd_model_checkpoint input")).to_have_value(re.compile("b-larger"))
    expect(card(page, "b-larger").locator(".am-use")).to_have_attribute("aria-pressed", "true")
    card(page, "a-small").locator(".am-use").click()
    expect(page.locator("#setting_sd_model_checkpoint input")).to_have_value(re.compile("a-small"))


def test_notes_are_kept_beside_the_file(page, server):
    kind(page, "lora")
    card(page, "other").locator(".am-edit").click()
    sheet = page.locator(".am-sheet")
    sheet.get_by_role("button", name="outdoors").click()
    expect(sheet.get_by_label("Trigger words")).to_have_value("outdoors")
    sheet.get_by_label("Preferred weight").fill("0.65")
    sheet.get_by_label("Notes").fill("from <b>a friend</b>")
    sheet.get_by_role("button", name="Save").click()
    expect(sheet).to_have_count(0)
    written = json.loads((server.data / "models" / "Lora" / "people" / "other.json").read_text())
    assert (written["activation text"], written["preferred weight"]) == ("outdoors", 0.65)
    page.reload()
    Visitor.ready(page)
    open_models(page)
    card(page, "other").locator(".am-edit").click()
    expect(page.locator(".am-sheet").get_by_label("Notes")).to_have_value("from <b>a friend</b>")
    page.keyboard.press("Escape")
    expect(page.locator(".am-sheet")).to_have_count(0)


@pytest.fixture
def tolerant(browser, server):
    """A visitor whose console may show the refusals that a test provokes."""
    visitor = Visitor(browser, server)
    yield visitor
    visitor.close()


def test_a_weight_that_cannot_be_is_said_in_the_sheet(tolerant):
    page = tolerant.open()
    open_models(page)
    kind(page, "lora")
    card(page, "other").locator(".am-edit").click()
    sheet = page.locator(".am-sheet")
    sheet.get_by_label("Preferred weight").evaluate("input => { input.removeAttribute('max'); input.value = 99; }")
    with page.expect_response(re.compile("/notes$")) as answer:
        sheet.get_by_role("button", name="Save").click()
    assert answer.value.status == 422
    expect(sheet.locator(".at-problem-card")).to_be_visible()


def test_the_last_picture_becomes_the_preview(page, server):
    page.get_by_role("tab", name="txt2img").click()
    page.fill("#txt2img_steps input[type=number]", "1")
    page.click("#txt2img_generate")
    expect(page.locator("#txt2img_progress .at-words")).to_contain_text("Done")
    open_models(page)
    kind(page, "lora")
    card(page, "detail tweaker").locator(".am-edit").click()
    sheet = page.locator(".am-sheet")
    sheet.get_by_role("button", name="Use the last picture").click()
    expect(sheet.locator(".am-large img")).to_be_visible()
    page.keyboard.press("Escape")
    expect(card(page, "detail tweaker").locator("img")).to_be_visible()
    assert (server.data / "models" / "Lora" / "nice" / "detail tweaker.preview.png").is_file()


def test_deleted_and_brought_back(page, server):
    path = write_tensors(server.data / "models" / "Lora" / "short-lived.safetensors", LORA)
    page.get_by_role("button", name="Refresh", exact=True).click()
    kind(page, "lora")
    card(page, "short-lived").locator(".am-edit").click()
    page.locator(".am-sheet").get_by_role("button", name="Delete").click()
    expect(card(page, "short-lived")).to_have_count(0)
    assert not path.exists()
    page.locator("#at_undo").get_by_role("button", name="Undo").click()
    expect(card(page, "short-lived")).to_have_count(1)
    assert path.exists()
    path.unlink()


def test_a_new_file_appears_by_itself(page, server):
    """Without Refresh: the server notices it, the page asks when the tab is seen."""
    write_tensors(server.data / "models" / "Lora" / "newcomer.safetensors", LORA)
    page.wait_for_timeout(5000)
    page.get_by_role("tab", name="txt2img").click()
    open_models(page)
    kind(page, "lora")
    expect(card(page, "newcomer")).to_have_count(1)


def test_two_checkpoints_are_merged(page, server):
    page.locator("#models_tab [data-part=Merge]").click()
    merger = page.locator("at-merge")
    merger.get_by_label("Primary model (A)").select_option(label="a-small")
    merger.get_by_label("Secondary model (B)").select_option(label="b-larger")
    merger.get_by_label("Multiplier (M)").fill("0.5")
    merger.get_by_label("Custom name").fill("mixed")
    expect(merger.get_by_label("Tertiary model (C)")).to_be_hidden()
    merger.get_by_role("button", name="Merge").click()
    expect(merger).to_contain_text("is there.")
    assert (server.data / "models" / "Stable-diffusion" / "mixed.safetensors").is_file()
    page.locator("#models_tab [data-part=Files]").click()
    kind(page, "checkpoint")
    expect(card(page, "mixed")).to_have_count(1)


def test_a_merge_that_lacks_a_model_says_which(tolerant):
    page = tolerant.open()
    open_models(page)
    page.locator("#models_tab [data-part=Merge]").click()
    page.locator("at-merge").get_by_role("button", name="Merge").click()
    expect(page.locator("at-merge .at-problem-card")).to_contain_text("Weighted sum needs this model; choose one.")


def test_offline_is_said(page):
    page.locator("#models_tab [data-part=Download]").click()
    expect(page.locator("at-downloads")).to_contain_text("started with --offline")
    expect(page.get_by_label("Where from")).to_be_hidden()


DOWNLOAD = {
    "id": "1" * 32,
    "source": "s",
    "name": "big.safetensors",
    "kind": "lora",
    "size": 2_000_000_000,
    "state": "running",
    "done": 500_000_000,
    "rate": 10_000_000.0,
    "sentence": "",
}


def test_how_downloads_look(page):
    """The server's answers are played here; what it does is tested where no browser is needed."""
    listed = [DOWNLOAD, DOWNLOAD | {"id": "2" * 32, "name": "x.safetensors", "state": "failed", "sentence": "No <b>."}]
    page.route(
        re.compile("/api/v1/downloads$"),
        lambda route: route.fulfill(json={"downloads": listed, "offline": False}),
    )
    offer = {
        "name": "hats.safetensors",
        "size": 144_000_000,
        "kind": "lora",
        "sha256": "ab" * 32,
        "words": "",
        "base": "SD 1.5",
    }
    page.route(re.compile("/downloads/look$"), lambda route: route.fulfill(json={"offers": [offer]}))
    page.locator("#models_tab [data-part=Download]").click()
    expect(page.locator("at-downloads li", has_text="big.safetensors")).to_contain_text("477 MB of 1.9 GB · 10 MB/s")
    failed = page.locator("at-downloads li", has_text="x.safetensors")
    expect(failed).to_contain_text("No <b>.")
    expect(failed.get_by_role("button", name="Resume")).to_be_visible()
    page.get_by_label("Where from").fill("owner/name")
    page.get_by_role("button", name="Look", exact=True).click()
    found = page.locator("at-downloads li", has_text="hats.safetensors")
    expect(found).to_contain_text("137 MB · SD 1.5 · hash known")
    expect(found.get_by_label("Kind of hats.safetensors")).to_have_value("lora")


def test_on_a_phone_nothing_scrolls_sideways(visit, server):
    visitor = visit(server, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = visitor.open()
    page.get_by_label("More tabs").click()
    page.locator("#tabs .overflow-dropdown button", has_text="Models").click()
    expect(page.locator("#models_tab .am-card").first).to_be_visible()
    for part in ("Files", "Merge", "Download"):
        page.locator(f"#models_tab [data-part={part}]").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, part
    page.locator("#models_tab [data-part=Files]").click()
    page.locator("#models_tab .am-edit").first.click()
    box = page.locator(".am-sheet").bounding_box()
    assert (box["x"], box["width"]) == (0, 390)
    small = page.evaluate(
        "[...document.querySelectorAll('.am-sheet button, #models_tab button')].filter(one => one.offsetParent && one.offsetHeight < 44).map(one => one.outerHTML)"
    )
    assert small == []
