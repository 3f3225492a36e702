"""Every route of the field's API against values nobody honest sends: answered with a 4xx or a known 500, nothing queued.

The routes and their fields are read from the application, so that a new one is covered by itself.
"""

import json
import os
import random

import pytest
from web.http.serving import running, write_checkpoint

SEED = 20_260_101
PER_FIELD = int(os.environ.get("ATELIER_FUZZ", "25"))  # values tried of each field; 51 are all
HARMFUL = ("/server-stop", "/server-kill", "/server-restart")
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEklEQVR4nGP8z8Dwn4EIwDiqEADwwQH/B5WnpwAAAABJRU5ErkJggg=="
NUMBERS = [0, -1, 1, 2**31, -(2**31) - 1, 2**63, 2**80, -(10**300), 0.5, -0.0, 1e308, 1e-320, 7.999999999999999]
TEXTS = [
    "",
    " ",
    "x" * 3000,
    "NaN",
    "Infinity",
    "-inf",
    "0x10",
    "1e999",
    "null",
    "true",
    "../../../../etc/passwd",
    "/proc/self/environ",
    "\u0000",
    "\u202e\u0301" * 50,
    "{{7*7}}",
    "<img src=x onerror=alert(1)>",
    "'; DROP TABLE jobs; --",
    "http://169.254.169.254/",
    "data:image/png;base64,AAAA",
    "((((((((((" * 100,
    "[a:b:" * 100,
    "<lora:x:1>" * 100,
    "AND " * 500,
    "None",
    "Use same sampler",
    PICTURE,
]
OTHERS = [None, True, False, [], {}, [[]], [None], [1, "a"], {"": None}, {"a": {"b": [1]}}, ["x"] * 500, [PICTURE] * 3]
HOSTILE = [*NUMBERS, *TEXTS, *OTHERS]
KNOWN_500 = ("KeyError", "RuntimeError")  # an unknown setting; a model or too many pictures, as clients know them


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzzed")
    write_checkpoint(folder / "models" / "Stable-diffusion" / "tiny.safetensors")
    with running(folder, "--nowebui") as served:
        yield served


def routes(served) -> list[tuple[str, str, list[str]]]:
    """Verb, path and names of fields of every route under /sdapi/v1, as the server describes itself."""
    known = served.client.get("/openapi.json").json()
    found = []
    for path, verbs in known["paths"].items():
        for verb, route in verbs.items():
            if path.startswith("/sdapi/v1/") and not path.endswith(HARMFUL):
                content = route.get("requestBody", {}).get("content", {}).get("application/json", {})
                name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
                fields = known["components"]["schemas"].get(name, {}).get("properties", {})
                found.append((verb.upper(), path, sorted(fields)))
    return found


def expected(answer) -> bool:
    """Whether a client of the field could have got this answer."""
    if answer.status_code != 500:
        return answer.status_code < 500 or (answer.status_code == 503 and "retry-after" in answer.headers)
    told = answer.json()
    upscaler = "upscaler" in told["errors"]
    return told["detail"].startswith("Invalid encoded image") or told["error"] in KNOWN_500 or upscaler


NEVER = {  # by the end of a path: what makes sure that nothing is drawn, after the rest of a body has been judged
    "txt2img": {"width": 7},
    "img2img": {"width": 7},
    "extra-single-image": {"upscaler_1": "no such"},
    "extra-batch-images": {"upscaler_1": "no such"},
    "interrogate": {"model": "nobody"},
}


def never_drawn(path: str, body: dict) -> dict:
    """A body that asks for pictures, made so that none can be."""
    name = path.rpartition("/")[2]
    return ({"init_images": [PICTURE]} if name == "img2img" else {}) | body | NEVER.get(name, {})


def test_every_field_of_every_route(fuzzed):
    dice = random.Random(SEED)
    before, tried, wrong = fuzzed.jobs(), 0, []
    for verb, path, fields in routes(fuzzed):
        for field in fields:
            if field in NEVER.get(path.rpartition("/")[2], {}):
                continue
            for value in dice.sample(HOSTILE, PER_FIELD):
                body = never_drawn(path, {field: value})
                answer = fuzzed.client.request(verb, path, json=body)
                tried += 1
                if not expected(answer):
                    wrong.append((verb, path, str(body)[:200], answer.text[:300]))
    assert not wrong
    assert tried > 1000
    assert fuzzed.jobs() == before


def test_several_fields_at_once(fuzzed):
    dice = random.Random(SEED + 1)
    for verb, path, fields in routes(fuzzed):
        if not fields:
            continue
        for _ in range(200):
            chosen = dice.sample(fields, min(len(fields), dice.randint(2, 8)))
            body = never_drawn(path, {name: dice.choice(HOSTILE) for name in chosen})
            answer = fuzzed.client.request(verb, path, json=body)
            assert expected(answer), (path, str(body)[:500], answer.text[:300])


def test_bodies_that_are_none_and_verbs_that_are_wrong(fuzzed):
    for verb, path, _ in routes(fuzzed):
        for content in (b"", b"[]", b"null", b"{", b"[1e999]", b"\xff", b"[" * 5000, json.dumps("x" * 5000).encode()):
            answer = fuzzed.client.request(verb, path, content=content, headers={"Content-Type": "application/json"})
            assert expected(answer), (verb, path, content[:20], answer.text[:300])
        other = fuzzed.client.request("DELETE", path)
        assert other.status_code == 405, path
        assert fuzzed.client.request(verb, f"{path}/").status_code in (200, 307, 404, 405, 422), path


def test_every_setting(fuzzed):
    """Whatever is tried, afterwards each setting holds a value it can have."""
    dice = random.Random(SEED + 2)
    names = fuzzed.client.get("/sdapi/v1/options").json()
    for name in names:
        for value in dice.sample(HOSTILE, PER_FIELD):
            answer = fuzzed.client.post("/sdapi/v1/options", json={name: value})
            assert expected(answer), (name, str(value)[:100], answer.text[:300])
            body = never_drawn("txt2img", {"override_settings": {name: value}})
            answer = fuzzed.client.post("/sdapi/v1/txt2img", json=body)
            assert expected(answer), (name, str(value)[:100], answer.text[:300])
    for name, setting in fuzzed.studio.settings.registered.items():
        assert setting.checked(fuzzed.studio.settings.get(name)) == fuzzed.studio.settings.get(name)


def test_the_server_is_well_after_all_this(fuzzed):
    fuzzed.studio.settings.set({"samples_format": "png"})
    answer = fuzzed.client.post("/sdapi/v1/txt2img", json={"steps": 1, "override_settings": {"sd_vae": "None"}})
    assert (answer.status_code, len(answer.json()["images"])) == (200, 1)
