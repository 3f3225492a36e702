"""`/api/v1/reproduce` over a real server, with an engine that draws at once."""

import io

import pytest
from PIL import Image
from web.http.serving import eventually

from modules.imaging.metadata import png_bytes

URL = "/api/v1/reproduce"
TEXT = "a cat\nSteps: 2, Sampler: Euler, Schedule type: Automatic, CFG scale: 5.0, Seed: 7, Size: 64x64, RNG: CPU"


def stored(api, text=TEXT, size=(64, 64), colour="red"):
    content = png_bytes(Image.new("RGB", size, colour), text)
    return api.client.post("/api/v1/inputs", content=content).json()["id"]


def made(api, picture):
    answer = api.client.post(URL, json={"picture": picture}).json()
    return eventually(lambda: api.client.get(f"/api/v1/jobs/{answer['job']}").json()["pictures"])[0]


def test_a_job_is_queued_and_its_picture_compared(api):
    picture = stored(api)
    result = made(api, picture)
    assert result["seed"] == 7
    found = api.client.get(f"{URL}/compare", params={"picture": picture, "result": result["id"]}).json()
    assert found["result"]["id"] == result["id"]
    assert found["verdict"]
    assert found["comparable"] == ((result["width"], result["height"]) == (64, 64))


def test_a_made_picture_is_identical_to_itself(api):
    result = made(api, stored(api))
    content = api.client.get(result["url"]).content
    same = api.client.post("/api/v1/inputs", content=content).json()["id"]
    question = {"picture": same, "result": result["id"]}
    found = api.client.get(f"{URL}/compare", params=question).json()
    assert found["verdict"].startswith("Identical")
    assert (found["equal"], found["psnr"], found["rows"]) == (1.0, None, [])
    difference = api.client.get(f"{URL}/difference.png", params=question)
    assert difference.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(difference.content)).convert("L").getextrema() == (0, 0)


def test_pictures_of_other_sizes_are_not_compared(api):
    result = made(api, stored(api))
    other = stored(api, size=(32, 48))
    question = {"picture": other, "result": result["id"]}
    found = api.client.get(f"{URL}/compare", params=question).json()
    assert found["comparable"] is False
    assert "32x48" in found["verdict"]
    assert api.client.get(f"{URL}/difference.png", params=question).status_code == 204


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "names no settings"),
        (f"{TEXT}, Denoising strength: 0.5", "made from another one"),
        (TEXT.replace("Steps: 2", "Steps: 9999"), "between 1 and 150"),
    ],
)
def test_what_cannot_be_made_again_is_a_sentence_and_no_job(api, text, sentence):
    before = api.jobs()
    answer = api.client.post(URL, json={"picture": stored(api, text)})
    assert answer.status_code == 200
    assert answer.json()["job"] == ""
    assert sentence in answer.json()["sentence"]
    assert api.jobs() == before


def test_unknown_pictures_are_not_found(api):
    assert api.client.post(URL, json={"picture": "0" * 64}).status_code == 404
    picture = stored(api)
    assert api.client.get(f"{URL}/compare", params={"picture": picture, "result": "0" * 32}).status_code == 404
    assert api.client.get(f"{URL}/difference.png", params={"picture": "x", "result": "y"}).status_code == 404


def test_tokens_are_counted_as_the_steps_need_them(api):
    text = "[a b c d e f g h:x:0.5]"
    assert api.client.post("/api/v1/tokens", json={"text": text}).json()["count"] == 8
    assert api.client.post("/api/v1/tokens", json={"text": text, "steps": 1}).json()["count"] == 1
    assert api.client.post("/api/v1/tokens", json={"text": text, "steps": 0}).status_code == 422
