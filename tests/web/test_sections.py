"""Folded sections, lists and kept styles: built on a real studio, asked without a browser."""

import json
from html import unescape

import gradio as gr
import pytest
from web.http.serving import ENGINE, eventually, write_checkpoint

from modules.core.errors import InvalidRequest
from modules.core.flags import parse_flags
from modules.core.places import Places
from modules.core.plugins import Plugins
from modules.core.requests import EditRequest, ImageRequest
from modules.prompts.styles import Style
from modules.services.build import open_studio
from modules.web.widgets import kept_styles, reading, sections
from modules.web.widgets.choices import offered, with_held
from modules.web.widgets.form import Form
from modules.web.widgets.pasting import named_here, read_text

SERVICES = ("modules.storage.backends", "modules.services.dispatch", "modules.services.setting_groups")
SETTINGS = "Steps: 12, Sampler: Euler a, CFG scale: 5, Seed: 44, Size: 96x72"


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sections")
    write_checkpoint(folder / "models" / "Stable-diffusion" / "tiny.safetensors")
    write_checkpoint(folder / "models" / "Stable-diffusion" / "other.safetensors", "other")
    (folder / "wildcards").mkdir()
    (folder / "wildcards" / "animal.txt").write_text("cat\ndog\n")
    plugins = Plugins("web")
    for package in SERVICES:
        plugins.add_package(package)
    flags = parse_flags(["--data-dir", str(folder), "--use-cpu", "all"], {})
    with open_studio(flags, Places.of(flags), plugins, engine_command=ENGINE) as opened:
        eventually(lambda: opened.catalogue.now().samplers)
        eventually(lambda: all(one.sha256 for one in opened.library.models()))
        yield opened


@pytest.fixture
def form(studio):
    with gr.Blocks():
        made = Form("txt2img", ImageRequest)
        for name in ("prompt", "negative_prompt", "steps", "seed", "width", "height", "cfg_scale"):
            made.add(name)
        sections.add(studio, made, "sampler", "schedule")
        sections.variation(studio, made)
        sections.hires(studio, made)
        sections.refiner(studio, made)
        sections.advanced(studio, made)
        with gr.Row() as row:
            pass
        sections.tools(studio, made, row)
    return made


@pytest.fixture
def styles(studio):
    """No style before and after."""

    def empty():
        for one in studio.styles.all():
            studio.styles.delete(one.name)

    empty()
    yield studio.styles
    empty()


# -- sections -----------------------------------------------------------------------------------------------------------


def test_every_field_that_people_can_set_has_a_place(form):
    shown = {
        name
        for name in ImageRequest.__dataclass_fields__
        if "shown" in ImageRequest.__dataclass_fields__[name].metadata
    }
    assert shown - set(form.components) == {"model", "batch_count", "batch_size"}  # these stand elsewhere


def described(form):
    return json.loads(unescape(form.describe().split('fields="')[1].split('"')[0]))


def test_the_script_is_told_where_a_field_is_folded_away(form):
    table = described(form)
    assert table["steps"]["within"] == []
    assert table["subseed"]["within"] == ["txt2img_subseed_show"]
    assert table["hr_scale"]["within"] == ["txt2img_hr"]
    assert table["hr_prompt"]["within"] == ["txt2img_hr", "txt2img_hires_more_section"]
    assert table["eta"]["within"] == ["txt2img_advanced_section"]


def test_the_script_is_told_what_is_usual_as_the_browser_holds_it(form):
    table = described(form)
    assert table["eta"]["usual"] == ""
    assert table["styles"]["usual"] == []
    assert table["hr_scale"]["usual"] == 2.0


def test_the_ids_of_the_field_are_there(form):
    ids = {one.elem_id for one in form.components.values()}
    assert {"txt2img_hr_scale", "txt2img_hr_upscaler", "txt2img_subseed", "txt2img_denoising_strength"} <= ids


# -- lists --------------------------------------------------------------------------------------------------------------


def test_lists_offer_what_there_is_and_what_empty_means(studio, form):
    known = form.lists()
    assert offered(studio, "hr_sampler", known["hr_sampler"])[0] == ("Use same sampler", "")
    models = offered(studio, "refiner_model", known["refiner_model"])
    assert models[0] == ("None", "")
    assert sum("tiny.safetensors" in str(one) for one in models) == 1
    assert offered(studio, "vae", known["vae"]) == ["Automatic", "None"]
    assert offered(studio, "hr_upscaler", known["hr_upscaler"])[:2] == ["Latent", "Latent (antialiased)"]
    assert "None" not in offered(studio, "hr_upscaler", known["hr_upscaler"])


@pytest.mark.parametrize(
    ("held", "last"),
    [("Mine", ("Mine (not here)", "Mine")), ("Euler", ("None", "")), ("", ("None", "")), (None, ("None", ""))],
)
def test_a_list_shows_what_a_field_holds_even_if_it_is_not_here(held, last):
    assert with_held(["Euler", ("None", "")], held)[-1] == last


def test_several_values_are_looked_at_one_by_one():
    assert with_held(["a"], ["a", "b"]) == ["a", ("b (not here)", "b")]


# -- reading ------------------------------------------------------------------------------------------------------------


def test_what_a_text_does_not_speak_of_goes_back_to_its_default():
    values = read_text(f"a cat\n{SETTINGS}", ImageRequest).values
    assert values["enable_hr"] is False
    assert (values["hr_resize_x"], values["subseed_strength"], values["tiling"], values["eta"]) == (0, 0.0, False, None)
    assert values["styles"] == ()
    assert "batch_size" not in values
    assert "comma_backtrack" not in values  # no text speaks of it


def test_a_text_without_settings_is_a_prompt_and_nothing_else():
    assert read_text("just words", ImageRequest).values == {"prompt": "just words", "negative_prompt": ""}


def test_styles_found_in_the_prompts_are_chosen_instead():
    kept = [Style(name="Photo", prompt="a photo of {prompt}", negative_prompt="drawing")]
    values = read_text(f"a photo of a cat\nNegative prompt: drawing\n{SETTINGS}", ImageRequest, kept).values
    assert (values["prompt"], values["negative_prompt"], values["styles"]) == ("a cat", "", ("Photo",))


@pytest.mark.parametrize(
    ("end", "source"),
    [
        ("", "CPU"),  # typed by hand
        (", Version: v1.10.1", "NV"),
        (", Model hash: 0123456789", "NV"),
        (", RNG: CPU, Version: v1.10.1", "CPU"),
        (", Model hash: 0123456789, Version: Atelier-0.1.0", "CPU"),
    ],
)
def test_noise_of_other_programs_came_from_a_graphics_card_unless_they_say_so(end, source):
    assert read_text(f"a cat\n{SETTINGS}{end}", ImageRequest).values["noise_source"] == source


def test_names_are_those_of_our_lists(studio):
    hashed = next(one for one in studio.library.models() if one.title.startswith("other")).short_hash
    text = f"a cat\nSteps: 12, Sampler: DDIM, CFG scale: 5, Seed: 4, Size: 64x64, Model hash: {hashed}, Model: whatever, Denoising strength: 0.5, Hires upscale: 2, Hires upscaler: latent (NEAREST), Hires checkpoint: tiny, Version: v1.10.1"
    read = named_here(studio, read_text(text, ImageRequest), ImageRequest)
    assert read.problems == {}
    assert read.values["model"] == f"other.safetensors [{hashed}]"
    assert read.values["hr_upscaler"] == "Latent (nearest)"
    assert read.values["hr_model"].startswith("tiny.safetensors [")


def test_what_is_not_here_keeps_its_name_and_gets_a_reason(studio):
    text = f"a cat\n{SETTINGS}, VAE: gone.pt, Model hash: 0123456789, Model: gone, Version: v1.10.1".replace(
        "Euler a", "Eulr"
    )
    read = named_here(studio, read_text(text, ImageRequest), ImageRequest)
    assert set(read.problems) == {"sampler", "vae", "model"}
    assert "Eulr" in read.problems["sampler"]
    assert (read.values["sampler"], read.values["vae"], read.values["model"]) == ("Eulr", "gone.pt", "")


def test_a_model_of_the_same_name_and_another_hash_is_said(studio):
    text = f"a cat\n{SETTINGS}, Model hash: 0123456789, Model: tiny, Version: v1.10.1"
    read = named_here(studio, read_text(text, ImageRequest), ImageRequest)
    assert read.values["model"].startswith("tiny.safetensors")
    assert "another file" in read.problems["model"]


def test_reading_works_for_edits_too(studio):
    text = f"a cat\n{SETTINGS}, Denoising strength: 0.4, Mask blur: 8"
    read = named_here(studio, read_text(text, EditRequest), EditRequest)
    assert (read.values["denoising_strength"], read.values["mask_blur_x"]) == (0.4, 8)


def test_a_list_gets_the_value_it_does_not_have(studio, form):
    read = reading.read_here(studio, form, f"a cat\n{SETTINGS}, VAE: gone.pt")
    shown = reading.shown(studio, form, read)
    assert shown["vae"]["value"] == "gone.pt"
    assert ("gone.pt (not here)", "gone.pt") in shown["vae"]["choices"]
    assert shown["seed"] == 44


def test_another_model_is_offered_only_when_it_is_another(studio, form):
    now = studio.desk.current_model()
    other = next(one for one in studio.library.models() if one.name != now.name)

    def told(text):
        return reading.other_model(studio, "txt2img", reading.read_here(studio, form, text))

    assert told(f"a cat\n{SETTINGS}, Model hash: {now.short_hash}, Model: x") == ""
    assert told(f"a cat\n{SETTINGS}") == ""
    assert told("Model: words") == ""
    assert other.title in told(f"a cat\n{SETTINGS}, Model hash: {other.short_hash}, Model: x")
    assert "not here" in told(f"a cat\n{SETTINGS}, Model: <b>, Version: v1.10.1")
    assert "<b>" not in told(f"a cat\n{SETTINGS}, Model: <b>, Version: v1.10.1")


# -- kept styles --------------------------------------------------------------------------------------------------------


def test_keeping_needs_a_name_and_words(studio, styles):
    assert "name" in kept_styles.keep_style(studio, "  ", "words", "")["problem"]
    assert "no prompt" in kept_styles.keep_style(studio, "Photo", " ", "")["problem"]
    assert styles.all() == []


def test_a_kept_style_that_is_replaced_can_be_brought_back(studio, styles):
    assert kept_styles.keep_style(studio, " Photo ", "one", "")["sentence"] == "Photo is kept."
    answer = kept_styles.keep_style(studio, "Photo", "two", "bad")
    assert answer["sentence"] == "Photo is replaced."
    assert styles.all() == [Style(name="Photo", prompt="two", negative_prompt="bad")]
    kept_styles.restore_styles(studio, json.dumps(answer))
    assert styles.all() == [Style(name="Photo", prompt="one")]


def test_deleted_styles_can_be_brought_back(studio, styles):
    both = [Style(name="A", prompt="a, b"), Style(name="B", prompt="b", negative_prompt='"x"\ny')]
    for one in both:
        styles.save(one)
    answer = kept_styles.delete_styles(studio, ["A", "B", "gone"])
    assert styles.all() == []
    kept_styles.restore_styles(studio, json.dumps(answer))
    assert styles.all() == both


def test_deleting_nothing_is_a_sentence(studio, styles):
    assert "Choose" in kept_styles.delete_styles(studio, [])["problem"]


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"before": [1]}', '{"before": [{"name": "x"}]}'])
def test_what_the_script_would_not_send_brings_nothing_back(studio, styles, text):
    with pytest.raises(InvalidRequest):
        kept_styles.restore_styles(studio, text)
    assert styles.all() == []


def test_a_refusal_becomes_a_sentence_for_the_script(studio, form, styles):
    update, answer = kept_styles._answered(studio, form, lambda: kept_styles.keep_style(studio, "x" * 300, "words", ""))
    assert "at most 200" in json.loads(answer)["problem"]
    assert update["choices"] == []


def test_a_file_of_styles_that_cannot_be_read_is_said_and_stops_nothing(studio, form, styles):
    file = studio.styles._file
    file.write_bytes(b"\xff\xfe\x00broken")
    try:
        assert offered(studio, "styles", form.lists()["styles"]) == []
        assert reading.read_here(studio, form, f"a cat\n{SETTINGS}").values["styles"] == ()
        answer = kept_styles._answered(studio, form, lambda: kept_styles.keep_style(studio, "Photo", "words", ""))[1]
        assert "cannot be read" in json.loads(answer)["problem"]
    finally:
        file.unlink()
