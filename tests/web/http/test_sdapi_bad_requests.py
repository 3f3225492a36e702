"""What cannot be done is refused with a reason; nothing is queued, and nothing makes the server fail."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

URL = "/sdapi/v1/txt2img"


def refused(api, body: dict) -> dict:
    before = api.jobs()
    answer = api.client.post(URL, json=body)
    assert 400 <= answer.status_code < 500, answer.text[:500]
    assert api.jobs() == before, "it was queued"
    return answer.json() | {"status": answer.status_code}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", "x" * 1_000_000),
        ("negative_prompt", "(" * 100_000),
        ("prompt", "a\0b"),
        ("prompt", ["a"]),
        ("prompt", {"a": 1}),
        ("width", 7),
        ("width", 0),
        ("width", -8),
        ("width", 1_000_000_000),
        ("width", 513),
        ("height", "tall"),
        ("height", 4096),
        ("steps", 0),
        ("steps", -1),
        ("steps", 1_000_000),
        ("steps", []),
        ("batch_size", 0),
        ("batch_size", 1_000_000),
        ("n_iter", 0),
        ("n_iter", 1_000_000),
        ("cfg_scale", -1),
        ("cfg_scale", 1e30),
        ("cfg_scale", "NaN"),
        ("cfg_scale", "Infinity"),
        ("seed", 2**80),
        ("seed", -2),
        ("seed", 10**400),
        ("seed", "x"),
        ("seed", "9" * 5000),
        ("eta", 7),
        ("eta", -1),
        ("denoising_strength", 7),
        ("denoising_strength", -0.1),
        ("override_settings", []),
        ("override_settings", {"CLIP_stop_at_last_layers": 99}),
        ("override_settings", {"CLIP_stop_at_last_layers": "deep"}),
        ("override_settings", {"emphasis": ["x"]}),
        ("override_settings", {"samples_format": "exe"}),
        ("alwayson_scripts", []),
        ("script_args", "x"),
        ("styles", "x"),
        ("force_task_id", {"a": 1}),
        ("enable_hr", "perhaps"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_value_that_cannot_be(api, name, value):
    answer = refused(api, {name: value})
    assert answer["status"] == 422
    found = answer["detail"][0]
    assert set(found) == {"loc", "msg", "type"}
    assert len(json.dumps(answer)) < 2000, "the value is not sent back"


@pytest.mark.parametrize(("name", "value"), [("restore_faces", True), ("firstpass_image", "AAAA")])
def test_what_would_change_the_picture_and_cannot_yet_is_said(api, name, value):
    answer = refused(api, {name: value})
    assert answer["detail"][0]["loc"] == ["body", name]
    assert "not available in this version" in answer["detail"][0]["msg"]


@pytest.mark.parametrize(
    ("body", "blamed"),
    [
        ({"subseed_strength": 1.5}, "subseed_strength"),
        ({"subseed": -2}, "subseed"),
        ({"s_churn": -1}, "s_churn"),
        ({"s_noise": 99}, "s_noise"),
        ({"s_tmax": 1e9}, "s_tmax"),
        ({"s_min_uncond": 16}, "s_min_uncond"),
        ({"enable_hr": True, "hr_scale": 99}, "hr_scale"),
        ({"enable_hr": True, "hr_scale": 0}, "hr_scale"),
        ({"enable_hr": True, "hr_second_pass_steps": 1000}, "hr_second_pass_steps"),
        ({"enable_hr": True, "hr_resize_x": 99_999}, "hr_resize_x"),
        ({"enable_hr": True, "hr_prompt": "x" * 20_001}, "hr_prompt"),
        ({"refiner_checkpoint": "tiny", "refiner_switch_at": 2}, "refiner_switch_at"),
        ({"seed_resize_from_w": 4096, "seed_resize_from_h": 64}, "seed_resize_from_w"),
        ({"styles": ["x"] * 101}, "styles"),
        ({"infotext": "Steps: 1, " * 20_001}, "infotext"),
        ({"atelier": {"cfg_end": 2}}, "atelier"),
        ({"atelier": {"guidanze": "CFG"}}, "atelier"),
        ({"atelier": {"cfg_end": [1]}}, "atelier"),
        ({"atelier": {"ngms_all_steps": "perhaps"}}, "atelier"),
        ({"atelier": {"outpaint": [8, 8, 8, 8]}}, "atelier"),
        ({"atelier": []}, "atelier"),
        ({"override_settings": {"rho": -1}}, "override_settings"),
        ({"override_settings": {"randn_source": "TPU"}}, "randn_source"),
        ({"alwayson_scripts": {"refiner": {"args": [True, "tiny", "late"]}}}, "alwayson_scripts"),
        ({"alwayson_scripts": {"refiner": {"args": "x"}}}, "alwayson_scripts"),
        ({"alwayson_scripts": {"refiner": 7}}, "alwayson_scripts"),
    ],
    ids=str,
)
def test_who_is_blamed(api, body, blamed):
    answer = refused(api, body)
    assert answer["status"] == 422
    assert blamed in answer["detail"][0]["loc"]


def test_an_always_on_script_cannot_be_selected_nor_the_other_way_round(api):
    assert "always on" in refused(api, {"script_name": "Refiner"})["detail"]
    answer = refused(api, {"alwayson_scripts": {"Soft Inpainting": {"args": []}}})
    assert (answer["status"], answer["detail"]) == (422, "Script 'Soft Inpainting' not found"), "that is img2img's"


@pytest.mark.parametrize(
    "name", ["Eulr", "", "DPM++ 9X Karras", "Euler Karrras", "../../etc/passwd", "\u202e", "x" * 99]
)
def test_an_unknown_sampler(api, name):
    body = {"sampler_name": name, "sampler_index": name or "nothing"}
    assert refused(api, body) | {"errors": ""} == {
        "error": "HTTPException",
        "detail": "Sampler not found",
        "body": "",
        "errors": "",
        "status": 400,
    }


def test_an_unknown_schedule(api):
    assert refused(api, {"scheduler": "Karas"})["detail"] == "Scheduler not found"


def test_unknown_scripts_in_the_fields_own_words(api):
    assert refused(api, {"script_name": "X/Y/Z plot"})["detail"] == "Script 'X/Y/Z plot' not found"
    answer = refused(api, {"alwayson_scripts": {"ADetailer": {"args": []}}})
    assert (answer["status"], answer["detail"]) == (422, "Script 'ADetailer' not found")
    assert len(refused(api, {"script_name": "x" * 10_000})["detail"]) < 300


def test_an_unknown_setting_is_a_500_as_clients_know_it(api):
    before = api.jobs()
    answer = api.client.post(URL, json={"override_settings": {"no_such": 1}})
    expected = {"error": "KeyError", "detail": "", "body": "", "errors": "'no_such'"}
    assert (answer.status_code, answer.json(), api.jobs()) == (500, expected, before)


def test_more_than_one_job_may_cost(api):
    big = {"width": 2048, "height": 2048, "steps": 150, "batch_size": 8, "n_iter": 100}
    assert "more than one job may ask for" in refused(api, big)["detail"][0]["msg"]


BROKEN = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"x"',
    b"7",
    b"\xff\xfe",
    b"{'steps': 1}",
    b'{"steps": 1,}',
    b'{"cfg_scale": NaN}',
    b'{"cfg_scale": Infinity}',
    b'{"cfg_scale": -Infinity}',
    b'{"cfg_scale": 1e999}',
    b'{"comments": {"a": [NaN]}}',
    b'{"comments": {"a": 1e999}}',
    b'{"comments": {"a": "\\ud800"}}',
    b'{"prompt": "\\udc00"}',
    b"[" * 100_000,
    b'{"comments": ' + b'{"a":' * 100_000,
    b'{"comments": ' + b'{"a":' * 300 + b"1" + b"}" * 301,
    b'{"script_args": ' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"seed": ' + b"9" * 10_000 + b"}",
]


@pytest.mark.parametrize("content", BROKEN, ids=lambda content: repr(content[:30]))
def test_bodies_no_honest_client_writes(api, content):
    before = api.jobs()
    answer = api.client.post(URL, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text[:300]
    assert api.jobs() == before


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "x"])
def test_only_json_is_read(api, kind):
    answer = api.client.post(URL, content=b'{"steps": 1}', headers={"Content-Type": kind})
    assert answer.status_code == 422


def test_a_body_over_the_limit(api):
    megabyte = b"x" * (1 << 20)
    announced = api.client.post(URL, content=megabyte * 65, headers={"Content-Type": "application/json"})
    assert (announced.status_code, "64 MB" in announced.json()["detail"]) == (413, True)
    in_pieces = api.client.post(
        URL, content=(megabyte for _ in range(65)), headers={"Content-Type": "application/json"}
    )
    assert in_pieces.status_code == 413


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["prompt", "seed", "steps", "width", "batch_size", "cfg_scale", "sampler_name", "scheduler", "styles", "eta"]
FIELDS += ["enable_hr", "alwayson_scripts", "script_name", "script_args", "force_task_id", "infotext", "comments"]
FIELDS += ["save_images", "refiner_checkpoint", "subseed", "tiling", "n_iter", "firstphase_width", "s_noise"]
FIELDS += ["subseed_strength", "hr_scale", "hr_upscaler", "hr_resize_x", "atelier", "override_settings", "s_churn"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, min_size=1, max_size=4))
def test_no_body_makes_the_server_fail(api, body):
    answer = api.client.post(URL, json={"steps": 1, "width": 64, "height": 64, "prompt": "x"} | body, timeout=60)
    unknown_setting = body.get("override_settings") and answer.json().get("error") == "KeyError"
    assert answer.status_code < 500 or unknown_setting, (body, answer.text)


def test_the_server_is_well_after_all_this(api):
    answer = api.client.post(URL, json={"steps": 1})
    assert (answer.status_code, len(answer.json()["images"])) == (200, 1)
