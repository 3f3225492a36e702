"""POST /sdapi/v1/txt2img against a real queue and a real engine process."""

import base64
import io
import json
import threading
import time

import httpx
import pytest
from PIL import Image
from web.http.serving import eventually

URL = "/sdapi/v1/txt2img"
INFO_KEYS = [
    *("prompt", "all_prompts", "negative_prompt", "all_negative_prompts", "seed", "all_seeds", "subseed"),
    *("all_subseeds", "subseed_strength", "width", "height", "sampler_name", "cfg_scale", "steps", "batch_size"),
    *("restore_faces", "face_restoration_model", "sd_model_name", "sd_model_hash", "sd_vae_name", "sd_vae_hash"),
    *("seed_resize_from_w", "seed_resize_from_h", "denoising_strength", "extra_generation_params"),
    *("index_of_first_image", "infotexts", "styles", "job_timestamp", "clip_skip"),
    *("is_using_inpainting_conditioning", "version"),
]


def made(api, **body) -> tuple[dict, dict]:
    """The answer and its info."""
    answer = api.client.post(URL, json={"steps": 3, **body})
    assert answer.status_code == 200, answer.text
    return answer.json(), json.loads(answer.json()["info"])


def opened(text: str) -> Image.Image:
    assert not text.startswith("data:")
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


def newest(api):
    return api.studio.queue.jobs(limit=1)[0]


def test_a_picture(api):
    answer, info = made(api, prompt="a red cat", negative_prompt="blurry", seed=7, cfg_scale=5, sampler_name="Euler a")
    assert list(answer) == ["images", "parameters", "info"]
    picture = opened(answer["images"][0])
    assert picture.text["parameters"].startswith("a red cat\nNegative prompt: blurry\nSteps: 3, Sampler: Euler a")
    assert list(info) == INFO_KEYS
    assert (info["seed"], info["all_seeds"], info["prompt"], info["cfg_scale"]) == (7, [7], "a red cat", 5.0)
    assert info["infotexts"] == [picture.text["parameters"]]
    assert (info["sd_model_name"], len(info["sd_model_hash"])) == ("other", 10)
    assert (info["index_of_first_image"], info["job_timestamp"].isdigit()) == (0, True)


def test_the_size_is_the_models_own_when_none_is_asked_for(api):
    assert opened(made(api)[0]["images"][0]).size == (128, 64)
    assert opened(made(api, width=None, height=256)[0]["images"][0]).size == (128, 256)


def test_an_empty_body_is_a_request(api):
    answer, info = made(api, steps=None)
    assert (info["steps"], info["sampler_name"], info["cfg_scale"]) == (50, "Euler", 7.0)
    assert info["seed"] >= 0
    assert len(answer["images"]) == 1


def test_the_body_is_echoed_with_all_its_fields(api):
    parameters = made(api, prompt="a cat")[0]["parameters"]
    assert (parameters["prompt"], parameters["n_iter"], parameters["hr_scale"]) == ("a cat", 1, 2.0)
    assert len(parameters) > 45


def test_null_in_every_field_means_the_default(api):
    fields = made(api)[0]["parameters"]
    answer = api.client.post(URL, json=dict.fromkeys(fields))
    assert answer.status_code == 200, answer.text


def test_unknown_keys_are_ignored(api):
    made(api, sd_model="x", outpath_samples="/etc", controlnet_units=[{"a": 1}], nonsense={"b": [1]})


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("steps", "2", 2),
        ("steps", 2.9, 2),
        ("batch_size", True, 1),
        ("seed", "12", 12),
        ("cfg_scale", "6.5", 6.5),
        ("prompt", 5, "5"),
        ("send_images", 1, True),
        ("save_images", "false", False),
        ("width", "64", 64),
        ("seed", "", None),
    ],
)
def test_types_are_read_leniently(api, name, value, read):
    assert made(api, **{name: value})[0]["parameters"][name] == read


def test_what_webuiapi_always_sends_is_fine(api):
    habits = {
        "sampler_index": "Euler a",
        "sampler_name": "Euler a",
        "scheduler": "automatic",
        "eta": 1.0,
        "denoising_strength": 0.7,
        "hr_upscaler": "Latent",
        "seed_resize_from_h": 0,
        "seed_resize_from_w": 0,
        "s_churn": 0,
        "s_tmax": 0,
        "s_tmin": 0,
        "s_noise": 1,
        "do_not_save_samples": False,
        "styles": [],
        "alwayson_scripts": {},
        "override_settings": {},
        "script_args": [],
        "script_name": None,
        "restore_faces": False,
        "tiling": False,
        "subseed_strength": 0.0,
    }
    info = made(api, **habits)[1]
    assert (info["sampler_name"], info["extra_generation_params"]["Schedule type"]) == ("Euler a", "Automatic")
    assert info["denoising_strength"] == 0.7


def test_samplers_by_old_names_and_schedules_by_any_case(api):
    assert made(api, sampler_name="k_euler")[1]["sampler_name"] == "Euler"
    joined = made(api, sampler_name="DPM++ 2M Karras")[1]
    assert (joined["sampler_name"], joined["extra_generation_params"]) == ("DPM++ 2M", {"Schedule type": "Karras"})
    assert made(api, scheduler="KARRAS")[1]["extra_generation_params"] == {"Schedule type": "Karras"}
    assert made(api, sampler_index="DDIM")[1]["sampler_name"] == "DDIM"


@pytest.mark.parametrize(
    ("sampler", "asked", "kept"),
    [("Euler a", 1.0, None), ("Euler a", 0.5, 0.5), ("Euler", 0.5, None), ("DDIM", 1.0, 1.0), ("DDIM", 0, None)],
)
def test_eta_is_kept_only_where_it_says_something(api, sampler, asked, kept):
    made(api, sampler_name=sampler, eta=asked)
    assert newest(api).request.eta == kept


def test_eta_as_a_setting_for_one_request(api):
    made(api, sampler_name="DDIM", override_settings={"eta_ddim": 0.25, "eta_ancestral": 0.5})
    assert newest(api).request.eta == 0.25


def test_batches_have_seeds_in_a_row(api):
    answer, info = made(api, batch_size=2, n_iter=2, seed=100)
    assert len(answer["images"]) == 4
    assert info["all_seeds"] == [100, 101, 102, 103]
    assert len(set(answer["images"])) == 4
    assert len(info["all_prompts"]) == len(info["infotexts"]) == len(info["all_subseeds"]) == 4


def test_no_images_when_none_are_wanted(api):
    answer, info = made(api, send_images=False)
    assert answer["images"] == []
    assert info["all_seeds"]


def test_pictures_are_kept_only_when_asked(api):
    made(api)
    assert not newest(api).request.save
    answer, info = made(api, save_images=True, n_iter=3, seed=5)
    pictures = api.studio.gallery.pictures(job=newest(api).id)
    assert all(api.studio.gallery.path(one).is_file() and one.kept for one in pictures)
    assert len(answer["images"]) == 4
    assert info["index_of_first_image"] == 1
    assert len(info["infotexts"]) == 4
    sheet = opened(answer["images"][0])
    assert (sheet.size, sheet.text["parameters"]) == ((256, 128), info["infotexts"][1])


def test_settings_for_one_request(api):
    settings = {"CLIP_stop_at_last_layers": 2, "sd_model_checkpoint": "tiny", "sd_vae": "Automatic", "emphasis": "None"}
    info = made(api, override_settings=settings)[1]
    assert (info["clip_skip"], info["sd_model_name"], info["width"]) == (2, "tiny", 64)
    assert api.client.get("/sdapi/v1/options").json()["CLIP_stop_at_last_layers"] == 1
    assert newest(api).request.emphasis == "None"


def test_settings_that_stay(api):
    settings = {"comma_padding_backtrack": 12}
    made(api, override_settings=settings, override_settings_restore_afterwards=False)
    assert api.client.get("/sdapi/v1/options").json()["comma_padding_backtrack"] == 12
    api.studio.settings.set({"comma_padding_backtrack": 20})


def test_a_checkpoint_that_is_not_there_is_left_out(api):
    assert made(api, override_settings={"sd_model_checkpoint": "nowhere"})[1]["sd_model_name"] == "other"


def test_the_infotext_fills_what_was_not_said(api):
    text = "a dog\nNegative prompt: bad\nSteps: 4, Sampler: Euler a, CFG scale: 3, Seed: 9, Size: 64x72, Clip skip: 2"
    answer = api.client.post(URL, json={"infotext": text, "prompt": "a cat"})
    info = json.loads(answer.json()["info"])
    assert (info["prompt"], info["negative_prompt"], info["seed"], info["steps"]) == ("a cat", "bad", 9, 4)
    assert (info["width"], info["height"], info["clip_skip"]) == (64, 72, 2)
    assert info["sampler_name"] == "Euler a"


def test_a_text_that_says_nonsense_is_refused(api):
    answer = api.client.post(URL, json={"infotext": "a\nSteps: many, Sampler: Euler, Seed: 1"})
    assert (answer.status_code, answer.json()["detail"][0]["loc"][-1]) == (422, "steps")


def test_a_job_that_fails_says_why(api):
    answer = api.client.post(URL, json={"prompt": "fail", "steps": 2})
    expected = {"error": "JobFailed", "detail": "", "body": "", "errors": "It cannot be drawn."}
    assert (answer.status_code, answer.json()) == (500, expected)


def test_requests_at_the_same_time_are_all_answered(api):
    answers = []

    def ask(seed: int) -> None:
        answers.append(httpx.post(api.address + URL, json={"seed": seed, "steps": 2}, timeout=60).json())

    threads = [threading.Thread(target=ask, args=[seed]) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(json.loads(one["info"])["seed"] for one in answers) == list(range(8))


def start(api, **body) -> tuple[threading.Thread, list[httpx.Response]]:
    """A request that goes on while the test does other things."""
    answers = []
    url = api.address + URL
    thread = threading.Thread(target=lambda: answers.append(httpx.post(url, json=body, timeout=60)))
    thread.start()
    return thread, answers


def test_progress_while_a_picture_is_made(api):
    thread, _ = start(api, prompt="slow", steps=60, n_iter=2)
    busy = eventually(
        lambda: (found := api.client.get("/sdapi/v1/progress").json())["state"]["sampling_step"] and found
    )
    assert 0 < busy["progress"] < 1
    assert busy["eta_relative"] > 0
    assert (busy["state"]["job_count"], busy["state"]["job_no"], busy["state"]["sampling_steps"]) == (2, 0, 60)
    assert len(busy["state"]["job_timestamp"]) == 14
    assert opened(busy["current_image"]).format == "JPEG"
    without = api.client.get("/sdapi/v1/progress", params={"skip_current_image": True}).json()
    assert without["current_image"] is None
    started = time.perf_counter()
    api.client.get("/sdapi/v1/progress")
    assert time.perf_counter() - started < 1, "it waits for the picture"
    api.client.post("/sdapi/v1/interrupt")
    thread.join()
    idle = api.client.get("/sdapi/v1/progress").json()
    assert (idle["progress"], idle["state"]["job_count"], idle["current_image"]) == (0.0, 0, None)


def test_an_interrupted_request_answers_with_what_there_is(api):
    thread, answers = start(api, prompt="slow", steps=20, n_iter=20, seed=1)
    eventually(lambda: api.client.get("/sdapi/v1/progress").json()["state"]["job_no"] >= 1)
    assert api.client.post("/sdapi/v1/interrupt").json() == {}
    thread.join()
    assert answers[0].status_code == 200
    assert 1 <= len(answers[0].json()["images"]) < 20


def test_skipping_leaves_one_batch_out(api):
    thread, answers = start(api, prompt="slow", steps=50, n_iter=2, seed=1)
    eventually(lambda: api.client.get("/sdapi/v1/progress").json()["state"]["sampling_step"])
    skipped = api.client.post("/sdapi/v1/skip")
    assert (skipped.status_code, skipped.json()) == (200, None)
    thread.join()
    assert json.loads(answers[0].json()["info"])["all_seeds"] == [2]


def test_nothing_to_stop_is_fine(api):
    assert api.client.post("/sdapi/v1/interrupt").json() == {}
    assert api.client.post("/sdapi/v1/skip").json() is None


def test_a_client_that_leaves_loses_nothing(api):
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(api.address + URL, json={"prompt": "slow left", "steps": 20}, timeout=0.2)
    job = newest(api)
    assert job.label == "slow left"
    eventually(lambda: api.studio.queue.job(job.id).state == "done")
    assert len(api.studio.gallery.pictures(job=job.id)) == 1


def test_a_task_name_is_a_handle_for_progress(api):
    name = "task(txt2img-abc1234)"
    thread, _ = start(api, prompt="slow", steps=50, force_task_id=name)
    ask = {"id_task": name}
    active = eventually(lambda: (one := api.client.post("/internal/progress", json=ask).json())["active"] and one)
    assert not active["completed"]
    thread.join()
    assert api.client.post("/internal/progress", json=ask).json()["completed"]
    made(api, force_task_id=name)
    assert len({api.studio.queue.jobs(limit=2)[place].id for place in (0, 1)}) == 2, "a name may be used again"
