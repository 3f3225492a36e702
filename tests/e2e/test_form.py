"""The form: what it starts with, what it remembers, and where it says what is wrong."""

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.e2e


def number(page: Page, name: str):
    return page.locator(f"#txt2img_{name} input[type=number]")


def choose(page: Page, element: str, option: str) -> None:
    page.click(f"#{element} input")
    page.get_by_role("option", name=option).click()


def test_it_starts_with_the_models_own_size_and_the_fields_defaults(visit):
    page = visit().open()
    expect(number(page, "width")).to_have_value("64")
    expect(number(page, "height")).to_have_value("64")
    expect(number(page, "steps")).to_have_value("20")
    expect(number(page, "cfg_scale")).to_have_value("7")
    expect(page.locator("#txt2img_seed textarea")).to_have_value("-1")
    expect(page.locator("#txt2img_sampling input")).to_have_value("DPM++ 2M")
    expect(page.locator("#txt2img_scheduler input")).to_have_value("Automatic")


def test_the_elements_of_the_field_are_there(page):
    names = [
        "prompt",
        "neg_prompt",
        "generate",
        "interrupt",
        "skip",
        "steps",
        "sampling",
        "scheduler",
        "width",
        "height",
    ]
    for name in [*names, *["batch_count", "batch_size", "cfg_scale", "seed", "gallery"]]:
        expect(page.locator(f"#txt2img_{name}")).to_have_count(1)
    expect(page.locator("#setting_sd_model_checkpoint")).to_be_visible()


def test_a_width_of_seven_is_refused_beside_the_width(page, server):
    before = len(server.jobs())
    page.fill("#txt2img_prompt textarea", "a cat")
    number(page, "width").fill("7")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#txt2img_width .at-problem")).to_have_text("Width is 7; it must be between 64 and 2048.")
    expect(number(page, "width")).to_be_focused()
    assert len(server.jobs()) == before
    number(page, "width").fill("72")
    number(page, "width").blur()
    expect(page.locator("#txt2img_width .at-problem")).to_have_count(0)


@pytest.mark.parametrize(
    ("element", "value", "sentence"),
    [
        ("#txt2img_seed textarea", "many", "Seed is 'many'; it must be a whole number."),
        ("#txt2img_seed textarea", "", "Seed is empty; it must be a number."),
        ("#txt2img_height input[type=number]", "100", "Height is 100; it must be a multiple of 8."),
        ("#txt2img_steps input[type=number]", "0", "Sampling steps is 0; it must be between 1 and 150."),
    ],
)
def test_bad_values_are_refused_where_they_stand(page, server, element, value, sentence):
    before = len(server.jobs())
    page.fill(element, value)
    page.click("#txt2img_generate")
    place = page.locator(element).locator("xpath=ancestor::*[contains(@class, 'block')][1]")
    expect(place.locator(".at-problem")).to_have_text(sentence)
    expect(page.locator("#txt2img_progress .at-words")).to_contain_text("Nothing was queued")
    assert len(server.jobs()) == before


def test_a_very_long_prompt_is_refused_beside_the_prompt(page, server):
    before = len(server.jobs())
    page.fill("#txt2img_prompt textarea", "cat " * 25_000)
    page.click("#txt2img_generate")
    expect(page.locator("#txt2img_prompt .at-problem")).to_contain_text("at most 20,000 are allowed")
    assert len(server.jobs()) == before


def test_values_survive_a_reload(page):
    page.fill("#txt2img_prompt textarea", "a remembered cat")
    page.fill("#txt2img_neg_prompt textarea", "dogs")
    number(page, "steps").fill("31")
    number(page, "steps").blur()
    choose(page, "txt2img_sampling", "Euler a")
    page.wait_for_function("localStorage['atelier.form.txt2img']?.includes('Euler a')")
    page.reload()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("a remembered cat")
    expect(page.locator("#txt2img_neg_prompt textarea")).to_have_value("dogs")
    expect(number(page, "steps")).to_have_value("31")
    expect(page.locator("#txt2img_sampling input")).to_have_value("Euler a")


def test_tokens_are_counted_while_typing(page):
    page.fill("#txt2img_prompt textarea", "a red cat wearing an astronaut helmet in space")
    expect(page.locator("#txt2img_prompt .at-count")).to_have_text("9/75")
    page.fill("#txt2img_prompt textarea", "cat " * 80)
    expect(page.locator("#txt2img_prompt .at-count")).to_have_text("80/150")


def test_swap_ratio_and_seed_buttons(page):
    number(page, "width").fill("96")
    number(page, "width").blur()
    page.click("#txt2img_res_switch_btn")
    expect(number(page, "height")).to_have_value("96")
    expect(number(page, "width")).to_have_value("64")
    page.get_by_role("button", name="Aspect ratio 16 to 9").click()
    expect(number(page, "width")).to_have_value("88")
    page.fill("#txt2img_seed textarea", "5")
    page.click("#txt2img_random_seed")
    expect(page.locator("#txt2img_seed textarea")).to_have_value("-1")


def test_another_model_brings_its_size_unless_the_user_has_chosen_one(page):
    choose(page, "setting_sd_model_checkpoint", "b-larger.safetensors")
    expect(number(page, "width")).to_have_value("128")
    choose(page, "setting_sd_model_checkpoint", "a-small.safetensors")
    expect(number(page, "width")).to_have_value("64")
    number(page, "width").fill("200")
    number(page, "width").blur()
    choose(page, "setting_sd_model_checkpoint", "b-larger.safetensors")
    page.wait_for_function("document.querySelector('at-model').getAttribute('model').includes('b-larger')")
    expect(number(page, "width")).to_have_value("200")
    choose(page, "setting_sd_model_checkpoint", "a-small.safetensors")
    page.wait_for_function("document.querySelector('at-model').getAttribute('model').includes('a-small')")


def test_a_broken_model_says_so_beside_the_list(page):
    choose(page, "setting_sd_model_checkpoint", "c-broken.safetensors")
    expect(page.locator("#at_model_note .at-problem")).to_contain_text("c-broken.safetensors")
    choose(page, "setting_sd_model_checkpoint", "a-small.safetensors")
    expect(page.locator("#at_model_note .at-problem")).to_have_count(0)


def test_clearing_the_prompts_can_be_undone(page):
    page.fill("#txt2img_prompt textarea", "precious words")
    page.click("#txt2img_clear_prompt")
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("precious words")


def test_settings_are_read_from_a_text_in_the_prompt(page):
    text = "a pasted cat\nNegative prompt: dogs\nSteps: 12, Sampler: Euler a, Schedule type: Automatic, CFG scale: 5, Seed: 44, Size: 96x72"
    page.fill("#txt2img_prompt textarea", text)
    page.click("#txt2img_paste")
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("a pasted cat")
    expect(page.locator("#txt2img_neg_prompt textarea")).to_have_value("dogs")
    expect(number(page, "steps")).to_have_value("12")
    expect(number(page, "height")).to_have_value("72")
    expect(page.locator("#txt2img_seed textarea")).to_have_value("44")
