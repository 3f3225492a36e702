"""The rest of `/sdapi/v1`: lists, settings, models, memory, png-info."""

import base64
import io
import time

import pytest
from PIL import Image, PngImagePlugin

from modules.prompts.infotext import parse_infotext

EMPTY = ["sd-vae", "hypernetworks", "face-restorers", "realesrgan-models", "loras"]


def got(api, path: str, **more):
    answer = api.client.get(f"/sdapi/v1/{path}", **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_models(api):
    models = got(api, "sd-models")
    assert [set(one) for one in models] == [{"title", "model_name", "hash", "sha256", "filename", "config"}] * 3
    assert {one["model_name"] for one in models} == {"sub_other", "tiny", "starter"}  # the starter is always there
    other = next(one for one in models if one["model_name"] == "sub_other")
    assert other["model_name"] == "sub_other"
    assert other["title"] == f"sub/other.safetensors [{other['hash']}]"
    assert (len(other["hash"]), len(other["sha256"])) == (10, 64)


def test_samplers_and_schedulers(api):
    samplers = got(api, "samplers")
    assert {"name": "Euler", "aliases": ["k_euler"], "options": {}} in samplers
    schedulers = got(api, "schedulers")
    assert [one["name"] for one in samplers] == ["DPM++ 2M", "Euler a", "Euler", "DDIM"], "as people know the list"
    assert [one["name"] for one in schedulers] == ["automatic", "uniform", "karras"]
    karras = schedulers[2]
    assert (karras["label"], karras["default_rho"], karras["need_inner_model"]) == ("Karras", 7.0, False)


@pytest.mark.parametrize("name", EMPTY)
def test_what_there_is_none_of_is_an_empty_list(api, name):
    assert got(api, name) == []


def test_other_shapes_of_nothing(api):
    assert got(api, "embeddings") == {"loaded": {}, "skipped": {}}


def test_ways_to_enlarge_latents(api):
    modes = [one["name"] for one in got(api, "latent-upscale-modes")]
    assert modes[:2] == ["Latent", "Latent (antialiased)"]
    assert len(modes) == 6


def test_scripts_with_their_arguments(api):
    assert got(api, "scripts") == {"txt2img": ["refiner"], "img2img": ["refiner", "soft inpainting"]}
    info = got(api, "script-info")
    assert [(one["name"], one["is_img2img"]) for one in info] == [
        ("refiner", False),
        ("refiner", True),
        ("soft inpainting", True),
    ]
    assert all(one["is_alwayson"] for one in info)
    assert info[0]["args"][2] == {
        "label": "Switch at",
        "value": 0.8,
        "minimum": 0.01,
        "maximum": 1,
        "step": 0.01,
        "choices": None,
    }


def test_extensions_and_how_they_fared(api):
    assert {"name": "example", "enabled": False}.items() <= got(api, "extensions")[0].items()


def test_command_line_without_its_secrets(serve):
    served = serve("--nowebui", "--api-auth", "ann:secret", "--gradio-auth", "bob:hidden")
    answer = served.client.get("/sdapi/v1/cmd-flags", auth=("ann", "secret"))
    assert "secret" not in answer.text
    assert "hidden" not in answer.text
    assert (answer.json()["nowebui"], answer.json()["api_auth"]) == (True, None)


def test_memory(api):
    memory = got(api, "memory")
    assert memory["ram"]["total"] == memory["ram"]["free"] + memory["ram"]["used"]
    assert 10_000_000 < memory["ram"]["used"] < memory["ram"]["total"]
    assert memory["cuda"] == {"error": "unavailable"}


def set_options(api, **values):
    return api.client.post("/sdapi/v1/options", json=values)


def test_settings_are_changed_and_kept(api):
    answer = set_options(api, CLIP_stop_at_last_layers=3, emphasis="No norm")
    assert (answer.status_code, answer.json()) == (200, None)
    options = got(api, "options")
    assert (options["CLIP_stop_at_last_layers"], options["emphasis"]) == (3, "No norm")
    assert api.studio.places.settings.is_file()
    assert set_options(api, **options).status_code == 200, "what was read can be written"
    set_options(api, CLIP_stop_at_last_layers=1, emphasis="Original")


def test_choosing_a_checkpoint_loads_it(api):
    before = got(api, "options")
    tiny = got(api, "sd-models")[1]
    for alias in (tiny["title"], tiny["model_name"], tiny["hash"], tiny["sha256"], "tiny.safetensors", "tiny"):
        assert set_options(api, sd_model_checkpoint=alias).status_code == 200, alias
        options = got(api, "options")
        assert (options["sd_model_checkpoint"], options["sd_checkpoint_hash"]) == (tiny["title"], tiny["sha256"])
    assert api.studio.engines.states()[0].model == tiny["title"]
    assert api.client.post("/sdapi/v1/reload-checkpoint").json() == {}
    assert api.client.post("/sdapi/v1/unload-checkpoint").json() == {}
    set_options(api, sd_model_checkpoint=before["sd_model_checkpoint"])


@pytest.mark.parametrize("name", ["nowhere", "../../etc/passwd", "/etc/passwd", "x" * 5000])
def test_a_checkpoint_that_is_not_there(api, name):
    answer = set_options(api, sd_model_checkpoint=name, CLIP_stop_at_last_layers=5)
    assert answer.status_code == 500
    assert answer.json()["error"] == "RuntimeError"
    assert answer.json()["errors"] == f"model '{name[:200]}' not found"
    assert got(api, "options")["CLIP_stop_at_last_layers"] == 1, "all or none"


def test_a_setting_that_is_not_there(api):
    answer = set_options(api, no_such=1, CLIP_stop_at_last_layers=5)
    assert (answer.status_code, answer.json()["error"], answer.json()["errors"]) == (500, "KeyError", "'no_such'")
    assert got(api, "options")["CLIP_stop_at_last_layers"] == 1


@pytest.mark.parametrize("value", [0, 99, "many", None, [1], {"a": 1}])
def test_a_value_a_setting_cannot_have(api, value):
    answer = set_options(api, CLIP_stop_at_last_layers=value)
    assert (answer.status_code, answer.json()["detail"][0]["loc"][-1]) == (422, "CLIP_stop_at_last_layers")


@pytest.mark.parametrize("value", ["white", "#fff", "", 7, None, "#gggggg", "#ffffff\n"])
def test_a_colour_is_a_colour(api, value):
    assert set_options(api, img2img_background_color=value).status_code == 422
    assert set_options(api, img2img_background_color="#A0b1c2").status_code == 200
    set_options(api, img2img_background_color="#ffffff")


@pytest.mark.parametrize(
    "name", ["api_auth", "data_dir", "extensions", "custom_code", "__class__", "ckpt_dir", "listen"]
)
def test_no_path_flag_or_code_can_be_set(api, name):
    assert set_options(api, **{name: "/tmp"}).status_code == 500


def test_folders_are_told_and_never_changed(api):
    told = got(api, "options")
    assert told["outdir_txt2img_samples"] == "outputs/txt2img-images"
    for name in [one for one in told if one.startswith("outdir_")]:
        assert set_options(api, **{name: told[name]}).status_code == 200, "the same value changes nothing"
        answer = set_options(api, **{name: "/tmp", "CLIP_stop_at_last_layers": 5})
        assert (answer.status_code, "command line" in answer.json()["detail"]) == (403, True)
        body = {"override_settings": {name: "../x"}}
        assert api.client.post("/sdapi/v1/txt2img", json=body).status_code == 403
    assert got(api, "options")["CLIP_stop_at_last_layers"] == 1


def test_closed_settings_are_ignored_in_silence(api):
    answer = set_options(api, api_enable_requests=True, api_forbid_local_requests=False, api_useragent="x")
    assert (answer.status_code, answer.json()) == (200, None)
    options = got(api, "options")
    assert (options["api_enable_requests"], options["api_forbid_local_requests"]) == (False, True)
    assert options["api_useragent"] == ""


@pytest.mark.parametrize("name", ["checkpoints", "vae", "embeddings", "loras"])
def test_refreshing(api, name):
    answer = api.client.post(f"/sdapi/v1/refresh-{name}")
    assert (answer.status_code, answer.json()) == (200, None)


@pytest.mark.parametrize("path", ["artists", "artist-categories", "nothing", "../sdapi"])
def test_what_is_not_there(api, path):
    assert api.client.get(f"/sdapi/v1/{path}").json() == {"detail": "Not Found"}


@pytest.mark.parametrize(
    "path",
    [
        "controlnet/version",
        "controlnet/model_list",
        "sam/heartbeat",
        "tagger/v1/interrogators",
        "promptgen/list_models",
    ],
)
def test_other_peoples_extensions_are_a_clean_404(api, path):
    answer = api.client.get(f"/{path}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def test_a_wrong_verb_is_a_405(serve):
    served = serve("--api", page=True)
    answer = served.client.get("/sdapi/v1/txt2img")
    assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})
    assert served.client.get("/sdapi/v1/nothing").json() == {"detail": "Not Found"}


def test_without_the_flag_there_is_no_api(serve):
    served = serve(page=True)
    for path in ("/sdapi/v1/samplers", "/docs"):
        assert served.client.get(path).status_code == 404
    assert served.client.get("/internal/ping").json() == {}


def test_the_documentation_names_every_field_and_loads_nothing(api):
    schema = api.client.get("/openapi.json").json()
    assert "hr_second_pass_steps" in schema["components"]["schemas"]["Text2ImageBody"]["properties"]
    for path in ("/docs", "/redoc"):
        page = api.client.get(path)
        assert "hr_second_pass_steps" in page.text
        assert "<script" not in page.text
        assert "https://" not in page.text


# png-info ----------------------------------------------------------------------------------------------------------------


def picture(kind: str = "PNG", size: tuple[int, int] = (8, 8), **known) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size).save(content, kind, **known)
    return content.getvalue()


def png(**texts: str) -> bytes:
    chunks = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        chunks.add_text(name, text)
    return picture(pnginfo=chunks)


def png_info(api, content: bytes | str):
    text = content if isinstance(content, str) else base64.b64encode(content).decode()
    return api.client.post("/sdapi/v1/png-info", json={"image": text})


def test_png_info(api):
    text = "a cat\nNegative prompt: bad\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x96"
    found = png_info(api, png(parameters=text, Author="Ann")).json()
    assert found == {"info": text, "items": {"Author": "Ann"}, "parameters": parse_infotext(text)}
    assert (found["parameters"]["Size-2"], found["parameters"]["Hires resize-1"]) == ("96", 0)


def test_png_info_of_a_picture_we_made(api):
    made = api.client.post("/sdapi/v1/txt2img", json={"prompt": "ä cat 猫", "steps": 2, "seed": 4}).json()
    found = png_info(api, made["images"][0]).json()
    assert (found["parameters"]["Prompt"], found["parameters"]["Seed"]) == ("ä cat 猫", "4")


def test_png_info_of_a_picture_without_text(api):
    found = png_info(api, picture("JPEG")).json()
    assert (found["info"], found["items"], found["parameters"]["Prompt"]) == ("", {}, "")


def test_png_info_of_a_book(api):
    """Megabytes of pairs are shown, and only their beginning is taken apart."""
    text = "a\n" + "Steps: 1, " * 1_000_000
    started = time.perf_counter()
    found = png_info(api, png(parameters=text)).json()
    assert found["info"] == text
    assert found["parameters"]["Steps"] == "1"
    assert time.perf_counter() - started < 8


def test_png_info_takes_data_uris_and_spaces(api):
    text = base64.b64encode(png(parameters="a")).decode()
    assert png_info(api, f"data:image/png;base64,{text}").json()["info"] == "a"
    assert png_info(api, f"\n {text} \n").json()["info"] == "a"


@pytest.mark.parametrize("text", ["", " ", "!", "AAAA", "data:image/png;base64,", "x" * 99_999, "\u202e", "%PDF-1.4"])
def test_png_info_of_garbage(api, text):
    answer = png_info(api, text)
    assert (answer.status_code, answer.json()["detail"]) == (500, "Invalid encoded image")


def test_png_info_of_a_bomb(api):
    header = bytearray(picture())
    header[16:24] = (50_000).to_bytes(4, "big") * 2
    assert png_info(api, bytes(header)).json()["detail"] == "Invalid encoded image"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/x.png", "https://evil.com/", "HTTP://[::1]/", " http://169.254.169.254/"]
)
def test_png_info_fetches_nothing(api, url):
    assert png_info(api, url).status_code == 422


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "/etc/passwd", "gopher://x"])
def test_png_info_opens_no_files(api, url):
    answer = png_info(api, url)
    assert answer.status_code == 500
    assert "root:" not in answer.text


@pytest.mark.parametrize("body", [{}, {"image": None}, {"image": 5}, {"image": ["x"]}, []])
def test_png_info_of_nothing(api, body):
    assert api.client.post("/sdapi/v1/png-info", json=body).status_code == 422


def test_png_info_changes_nothing(api):
    before = got(api, "options")
    text = "x\nSteps: 1, Sampler: Euler, Seed: 1, Model hash: 0123456789, Clip skip: 5, Model: other, VAE: evil"
    assert png_info(api, png(parameters=text)).status_code == 200
    assert got(api, "options") == before
