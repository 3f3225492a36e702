"""`/internal` and `/api/v1/tokens`: what the page's scripts poll."""

import base64

import pytest
from web.http.serving import eventually

from modules.core.requests import ImageRequest

NOTHING = {"progress": None, "eta": None, "live_preview": None, "id_live_preview": -1}


def progress(api, **body) -> dict:
    return api.client.post("/internal/progress", json=body).json()


def test_ping(api):
    assert api.client.get("/internal/ping").json() == {}


def test_a_task_nobody_knows(api):
    expected = {"active": False, "queued": False, "completed": False, "textinfo": "Waiting...", **NOTHING}
    assert progress(api, id_task="task(x)") == expected
    assert progress(api) == expected
    assert progress(api, id_task=5) == expected


def test_a_running_task(api):
    job = api.studio.desk.submit(ImageRequest(prompt="slow", steps=100)).id
    live = eventually(lambda: (one := progress(api, id_task=job))["live_preview"] and one)
    assert (live["active"], live["queued"], live["completed"]) == (True, False, False)
    assert 0 < live["progress"] < 1
    kind, _, content = live["live_preview"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert base64.b64decode(content).startswith(b"\xff\xd8")
    assert progress(api, id_task=job, live_preview=False)["live_preview"] is None
    api.studio.queue.cancel(job)
    eventually(lambda: progress(api, id_task=job)["completed"])


def test_the_same_preview_is_not_sent_twice(api):
    job = api.studio.desk.submit(ImageRequest(prompt="slow", steps=150)).id
    first = eventually(lambda: (one := progress(api, id_task=job))["live_preview"] and one)
    newest = api.studio.watch.live(job).preview_number + 1000
    assert progress(api, id_task=job, id_live_preview=newest)["live_preview"] is not None
    assert first["id_live_preview"] >= 1
    api.studio.queue.cancel(job)
    eventually(lambda: api.studio.queue.job(job).over)


@pytest.mark.parametrize("body", [{"id_task": []}, {"id_live_preview": "x"}, {"live_preview": "perhaps"}, [], None])
def test_bad_questions(api, body):
    assert api.client.post("/internal/progress", json=body).status_code == 422


def test_quick_settings(api):
    hints = api.client.get("/internal/quicksettings-hint").json()
    assert {"name": "sd_model_checkpoint", "label": "Model"} in hints


def test_counting_tokens(api):
    assert api.client.get("/api/v1/tokens", params={"text": "a red cat"}).json() == {"count": 3, "limit": 75}
    long = "cat " * 100
    assert api.client.post("/api/v1/tokens", json={"text": long}).json() == {"count": 100, "limit": 150}
    assert api.client.get("/api/v1/tokens").json() == {"count": 0, "limit": 75}


@pytest.mark.parametrize(
    "text", ["((((" * 4000, "[" * 20_000, "\u202e猫 \U0001f9d1\u200d\U0001f680", "a:1.5)" * 3000, "BREAK " * 3000]
)
def test_counting_anything(api, text):
    assert api.client.post("/api/v1/tokens", json={"text": text}).status_code == 200


@pytest.mark.parametrize("body", [{"text": "x" * 20_001}, {"text": None}, {}, {"text": 5}])
def test_what_is_not_counted(api, body):
    assert api.client.post("/api/v1/tokens", json=body).status_code == 422
