"""txt2img's folded sections: what they say, keep, refuse and make; styles, wildcards, networks, the model of a text."""

import re

import pytest
from e2e.test_looks_and_keys import PHONE, SMALL_TARGETS, UNNAMED
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.e2e

BASE = "a pasted cat\nNegative prompt: dogs\nSteps: 2, Sampler: DPM++ 2M Karras, CFG scale: 5, Seed: 44, Size: 64x64"
FULL = (
    f"{BASE}, Variation seed: 9, Variation seed strength: 0.25, Denoising strength: 0.5, Clip skip: 2, RNG: NV, "
    "Hires upscale: 1.5, Hires steps: 1, Hires upscaler: latent (nearest), Hires sampler: Euler a, "
    'Hires prompt: "x, y", Refiner: a-small, Refiner switch at: 0.6, Guidance: CFG rescale'
)


def read(page: Page, text: str) -> None:
    page.fill("#txt2img_prompt textarea", text)
    page.click("#txt2img_paste")
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("a pasted cat")


def head(page: Page, section: str):
    return page.locator(f"#txt2img_{section} > button.label-wrap")


def note(page: Page, section: str):
    return head(page, section).locator(".at-section-note")


def value(page: Page, name: str):
    return page.evaluate(f"atelier.forms.values('txt2img')['{name}']")


def generate(page: Page) -> str:
    """Press it; the text of the picture."""
    page.evaluate("atelier.viewing.recent = []")
    page.click("#txt2img_generate")
    expect(page.locator("#txt2img_progress .at-words")).to_contain_text("Done")
    page.wait_for_function("atelier.viewing.selected()")
    return page.evaluate("atelier.viewing.selected().infotext")


def test_rare_things_are_folded_and_say_what_is_set_in_them(page):
    for section in ("hr", "enable", "subseed_show", "advanced_section"):
        expect(head(page, section)).to_have_attribute("aria-expanded", "false")
        expect(note(page, section)).to_have_text("")
    read(page, FULL)
    expect(note(page, "hr")).to_have_text("96x96")
    expect(note(page, "enable")).to_have_text(re.compile("a-small.safetensors"))
    expect(note(page, "subseed_show")).to_have_text("strength 0.25")
    expect(note(page, "advanced_section")).to_have_text("3 changed")


def test_everything_a_text_says_is_read_made_and_written_again(page):
    read(page, FULL)
    made = generate(page)
    for part in (
        FULL.replace("DPM++ 2M Karras", "DPM++ 2M, Schedule type: Karras").replace("latent (n", "Latent (n").split(", ")
    ):
        assert part.replace("Refiner: a-small", "Refiner: a-small [") in made
    assert page.evaluate("[atelier.viewing.selected().width, atelier.viewing.selected().height]") == [96, 96]
    read(page, BASE)
    expect(note(page, "hr")).to_have_text("")
    assert (value(page, "enable_hr"), value(page, "refiner_model"), value(page, "clip_skip")) == (False, "", 1)
    assert (value(page, "subseed_strength"), value(page, "schedule")) == (0, "Karras")


def test_what_is_not_here_is_shown_kept_over_a_reload_and_refused_beside_its_field(page, server):
    read(page, f"{BASE}, Denoising strength: 0.5, Hires upscale: 2, Hires checkpoint: gone.safetensors, VAE: gone.pt")
    page.wait_for_function("localStorage['atelier.form.txt2img']?.includes('gone.pt')")
    page.reload()
    page.wait_for_function("window.atelier?.forms.values('txt2img').vae === 'gone.pt'")
    before = len(server.jobs())
    page.click("#txt2img_generate")
    expect(page.locator("#txt2img_hr_model .at-problem")).to_contain_text("No model is called 'gone.safetensors'")
    expect(page.locator("#txt2img_hr_model input")).to_have_value("gone.safetensors (not here)")
    expect(page.locator("#txt2img_vae .at-problem")).to_be_visible()
    expect(page.locator("#txt2img_vae input")).to_have_value("gone.pt (not here)")
    assert len(server.jobs()) == before
    page.evaluate("atelier.forms.fill('txt2img', { hr_model: '' })")
    expect(page.locator("#txt2img_hr_model .at-problem")).to_have_count(0)


def test_a_pixel_upscaler_and_the_size_it_makes(page):
    head(page, "hr").click()
    expect(page.locator("at-hires-size")).to_have_text("off; would be 128x128")
    page.locator("#txt2img_enable_hr input").check()
    page.fill("#txt2img_hr_resize_x input[type=number]", "80")
    expect(page.locator("at-hires-size")).to_have_text("from 64x64 to 80x80")
    page.evaluate("atelier.forms.fill('txt2img', { hr_upscaler: 'Lanczos', steps: 2 })")
    assert "Hires resize: 80x0" in generate(page)
    assert page.evaluate("atelier.viewing.selected().width") == 80


def test_styles_are_kept_chosen_deleted_and_brought_back(page):
    page.fill("#txt2img_prompt textarea", "a photo of {prompt}")
    page.click("#txt2img_styles_show")
    page.click("#txt2img_style_create")
    expect(page.locator("#txt2img_styles_row .at-problem")).to_have_text("Give the style a name first.")
    page.fill("#txt2img_style_name input", "Photo")
    page.click("#txt2img_style_create")
    expect(page.locator("#at_said")).to_have_text("Photo is kept.")
    page.fill("#txt2img_prompt textarea", "a cat")
    page.click("#txt2img_styles input")
    page.get_by_role("option", name="Photo").click()
    page.fill("#txt2img_steps input[type=number]", "1")
    assert generate(page).startswith("a photo of a cat\n")
    expect(page.locator("#txt2img_styles_show")).to_have_attribute("data-chosen", "1")
    page.click("#txt2img_style_delete")
    expect(page.locator("#at_undo")).to_contain_text("Photo is deleted.")
    expect(page.locator("#txt2img_styles_show")).to_have_attribute("data-chosen", "")
    page.get_by_role("button", name="Undo").click()
    page.click("#txt2img_styles input")
    expect(page.get_by_role("option", name="Photo")).to_be_visible()


def test_a_wildcard_goes_to_where_the_cursor_was(page, server):
    folder = server.data / "wildcards"
    folder.mkdir(exist_ok=True)
    (folder / "animal.txt").write_text("cat\n")
    page.fill("#txt2img_prompt textarea", "a, red")
    page.wait_for_function("atelier.forms.values('txt2img').prompt === 'a, red'")
    page.locator("#txt2img_prompt textarea").evaluate("box => box.setSelectionRange(1, 1)")
    page.click("#txt2img_styles_show")
    page.click("#txt2img_wildcards input")
    page.get_by_role("option", name="animal").click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("a __animal__, red")
    page.fill("#txt2img_steps input[type=number]", "1")
    made = generate(page)
    assert made.startswith("a cat, red\n")
    assert 'Template: "a __animal__, red"' in made


def test_the_model_of_a_text_is_offered(page):
    read(page, f"{BASE}, Model: b-larger, Version: v1.10.1")
    page.get_by_role("button", name="Use that model").click()
    chosen = page.locator("#setting_sd_model_checkpoint input")
    expect(chosen).to_have_value(re.compile("b-larger"))
    page.evaluate("atelier.viewing.recent = []")
    read(page, f"{BASE}, Model: a-small, Version: v1.10.1")
    page.get_by_role("button", name="Use that model").click()
    expect(chosen).to_have_value(re.compile("a-small"))
    read(page, f"{BASE}, Model: nowhere, Version: v1.10.1")
    expect(page.locator("#at_said")).to_have_text("The model nowhere is not here.")


def test_networks_open_from_the_line_of_tools(page):
    page.click("#txt2img_extra_networks")
    expect(page.get_by_role("dialog", name="Networks")).to_be_visible()


def test_tokens_are_counted_for_the_steps_there_are(page):
    page.fill("#txt2img_steps input[type=number]", "1")
    page.fill("#txt2img_prompt textarea", "[a b c d e:x:0.5]")
    expect(page.locator("#txt2img_prompt .at-count")).to_have_text("1/75")
    page.fill("#txt2img_steps input[type=number]", "4")
    expect(page.locator("#txt2img_prompt .at-count")).to_have_text("5/75")


def test_a_phone_reaches_everything_in_the_sections(visit):
    page = visit(**PHONE).open()
    page.click("#txt2img_styles_show")
    for section in ("subseed_show", "hr", "hires_more_section", "enable", "advanced_section"):
        if section == "subseed_show":
            page.locator("#txt2img_seed_section > button.label-wrap").click()
        head(page, section).click()
    expect(page.locator("#txt2img_hr_prompt")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(SMALL_TARGETS) == []
    assert page.evaluate(UNNAMED) == []
