"""Making a picture again: what the request becomes, what cannot be had, and what is said about the two."""

import pytest
from web.http.serving import ENGINE, eventually, write_checkpoint

from modules.core.errors import InvalidRequest
from modules.core.flags import parse_flags
from modules.core.places import Places
from modules.core.plugins import Plugins
from modules.imaging.likeness import Likeness
from modules.services.build import open_studio
from modules.web.reproducing import Remark, again, rows, verdict

SERVICES = ("modules.storage.backends", "modules.services.dispatch", "modules.services.setting_groups")
SETTINGS = "Steps: 12, Sampler: Euler a, Schedule type: Automatic, CFG scale: 5, Seed: 44, Size: 96x72"


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("again")
    write_checkpoint(folder / "models" / "Stable-diffusion" / "tiny.safetensors")
    write_checkpoint(folder / "models" / "Lora" / "fur.safetensors", "fur")
    plugins = Plugins("web")
    for package in SERVICES:
        plugins.add_package(package)
    flags = parse_flags(["--data-dir", str(folder), "--use-cpu", "all"], {})
    with open_studio(flags, Places.of(flags), plugins, engine_command=ENGINE) as opened:
        eventually(lambda: opened.catalogue.now().samplers)
        eventually(lambda: all(one.sha256 for one in opened.library.models()))
        yield opened


@pytest.fixture(scope="module")
def model(studio):
    return studio.desk.current_model()


def remarks(studio, text):
    return {one.key: one.words for one in again(studio, text).remarks}


def test_the_request_is_what_the_text_says_and_nothing_of_the_settings(studio, model):
    studio.settings.set({"CLIP_stop_at_last_layers": 2})
    text = (
        f"a cat\nNegative prompt: dogs\n{SETTINGS}, Model hash: {model.short_hash}, Model: tiny, Tiling: True, RNG: CPU"
    )
    found = again(studio, text)
    studio.settings.set({"CLIP_stop_at_last_layers": 1})
    request = found.request
    assert found.remarks == ()
    assert (request.prompt, request.negative_prompt, request.steps, request.seed) == ("a cat", "dogs", 12, 44)
    assert (request.width, request.height, request.tiling, request.noise_source) == (96, 72, True, "CPU")
    assert (request.clip_skip, request.images, request.model) == (1, 1, model.title)


def test_a_second_pass_is_made_again(studio):
    request = again(
        studio, f"a cat\n{SETTINGS}, Denoising strength: 0.4, Hires resize: 128x0, Hires upscaler: Latent"
    ).request
    assert (request.enable_hr, request.denoising_strength, request.hr_resize_x) == (True, 0.4, 128)


@pytest.mark.parametrize(
    "more", ["Denoising strength: 0.75", "Init image hash: abc", "Denoising strength: 0.75, Mask blur: 4"]
)
def test_a_picture_from_a_picture_needs_that_picture(studio, more):
    with pytest.raises(InvalidRequest, match="made from another one"):
        again(studio, f"a cat\n{SETTINGS}, {more}")


@pytest.mark.parametrize("text", ["", "just words"])
def test_a_text_without_settings_cannot_be_made_again(studio, text):
    with pytest.raises(InvalidRequest, match="names no settings"):
        again(studio, text)


def test_each_thing_that_cannot_be_had_is_said(studio):
    text = (
        "a cat <lora:fur:1> <lora:gone:1>\nSteps: 12, Sampler: Eulr, CFG scale: 5, Seed: 44, Size: 96x72, Model hash: 0123456789, "
        'Model: nicer, VAE: gone.pt, RNG: GPU, TI hashes: "sad: 0123", Face restoration: GFPGAN, Script: X/Y/Z plot'
    )
    found = remarks(studio, text)
    assert set(found) == {"Sampler", "Model", "VAE", "RNG", "TI hashes", "Lora hashes", "Face restoration", "Script"}
    assert "nicer [0123456789] is not here. The model chosen at the top drew instead." in found["Model"]
    assert "<lora:gone>" in found["Lora hashes"]
    assert "fur" not in found["Lora hashes"]
    assert "sad" in found["TI hashes"]
    assert "left out" in found["Face restoration"]


def test_what_is_not_here_is_replaced_by_the_default(studio):
    request = again(studio, f"a cat\n{SETTINGS}, VAE: gone.pt".replace("Euler a", "Eulr")).request
    assert (request.sampler, request.vae) == ("DPM++ 2M", "Automatic")


def test_a_lora_is_found_by_its_hash_under_another_name(studio):
    record = next(one for one in studio.shelf.files("lora"))
    record = studio.shelf.with_hash(record)
    assert record.short_hash
    text = f'a cat <lora:theirs:0.5>\n{SETTINGS}, Lora hashes: "theirs: {record.short_hash}"'
    found = again(studio, text)
    assert found.request.prompt == "a cat <lora:fur:0.5>"
    assert found.remarks == ()


def test_behaviour_of_old_versions_is_said(studio):
    text = f"a cat\n{SETTINGS}, Version: v1.5.0".replace("Euler a", "DDIM")
    assert {"Pad conds v0", "Downcast alphas_cumprod"} <= set(remarks(studio, text))


def test_no_seed_is_said(studio):
    assert "no seed" in remarks(studio, f"a cat\n{SETTINGS}".replace("Seed: 44, ", ""))["Seed"]


def test_equal_texts_have_no_rows():
    text = f"a cat\n{SETTINGS}"
    assert rows(text, text.replace("CFG scale: 5", "CFG scale: 5.0"), ()) == []


def test_rows_hold_both_values_and_the_reason():
    theirs = f"a cat\n{SETTINGS}, Model hash: 0123456789, Model: nicer, Version: v1.10.1, Tiling: True"
    here = f"a cat\n{SETTINGS}, Model hash: abcdefabcd, Model: tiny, RNG: NV, Version: Atelier-0.1.0"
    found = {one.key: one for one in rows(theirs, here, (Remark(key="Model", words="It is not here."),))}
    assert list(found) == ["Model hash", "Model", "Version", "Tiling", "RNG"]
    assert (found["Model"].theirs, found["Model"].here, found["Model"].why) == ("nicer", "tiny", "It is not here.")
    assert found["Model hash"].why == "Another model file."
    assert "small differences" in found["Version"].why
    assert "NVIDIA" in found["RNG"].why
    assert (found["Tiling"].theirs, found["Tiling"].here) == ("True", "")


def test_a_renamed_model_is_the_same_model():
    theirs = f"a cat\n{SETTINGS}, Model hash: 0123456789, Model: nicer"
    (row,) = rows(theirs, theirs.replace("nicer", "tiny"), ())
    assert row.why == "The same file under another name."


def test_a_remark_has_a_row_even_if_neither_text_names_it():
    (row,) = rows(
        f"a\n{SETTINGS}",
        f"a\n{SETTINGS}",
        (Remark(key="Lora hashes", words="Gone."), Remark(key="Lora hashes", words="Too.")),
    )
    assert (row.key, row.theirs, row.here, row.why) == ("Lora hashes", "", "", "Gone. Too.")


@pytest.mark.parametrize(
    ("psnr", "reasons", "lossy", "start"),
    [
        (None, ["x"], "", "Identical"),
        (45.2, [], "", "Equal to the eye (PSNR 45 dB)"),
        (35, [], "", "Nearly the same (PSNR 35 dB). The texts do not say why"),
        (35, [], "JPEG", "Nearly the same (PSNR 35 dB): the original was saved as JPEG"),
        (12, [], "JPEG", "Different (PSNR 12 dB). The texts do not say why"),
        (12, ["The model is not here."], "", "Different (PSNR 12 dB): The model is not here."),
    ],
)
def test_the_verdict_is_a_sentence(psnr, reasons, lossy, start):
    found = Likeness(equal=0.5 if psnr else 1.0, psnr=psnr, largest=2 if psnr else 0)
    assert verdict(found, reasons, lossy).startswith(start)
