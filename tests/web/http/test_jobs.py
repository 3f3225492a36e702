"""`/api/v1/jobs`: the page's view of its jobs, as it happens."""

import json
import threading

import httpx
import pytest
from web.http.serving import eventually

from modules.core.requests import ImageRequest


def submit(api, prompt: str = "a cat", **more) -> str:
    return api.studio.desk.submit(ImageRequest(prompt=prompt, **({"steps": 3} | more))).id


def ended(api, job: str) -> dict:
    return eventually(lambda: (one := api.client.get(f"/api/v1/jobs/{job}").json())["over"] and one)


def stream(api, job: str, client: httpx.Client | None = None) -> list[tuple[str, dict]]:
    """Every event of a job until the server ends the stream."""
    with (client or api.client).stream("GET", f"/api/v1/jobs/{job}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        pieces = "".join(answer.iter_text()).split("\n\n")
    assert pieces[0].startswith("retry: ")
    return [read(piece) for piece in pieces[1:] if piece and not piece.startswith(":")]


def read(piece: str) -> tuple[str, dict]:
    lines = dict(line.split(": ", 1) for line in piece.split("\n"))
    return lines.get("event", ""), json.loads(lines["data"])


def test_a_finished_job(api):
    job = ended(api, submit(api, "a  red\ncat", seed=3))
    assert (job["state"], job["label"], job["fraction"], job["request"]["seed"]) == ("done", "a red cat", 1.0, 3)
    (picture,) = job["pictures"]
    assert picture["seed"] == 3
    assert api.client.get(picture["url"]).content.startswith(b"\x89PNG")
    assert job["preview"] is None
    assert job["created"] <= job["started"] <= job["ended"]


def test_events_follow_a_job_to_its_end(api):
    events = stream(api, submit(api, "slow", steps=30))
    states = [live["state"] for _, live in events]
    fractions = [live["fraction"] for _, live in events]
    assert states[-1] == "done"
    assert fractions == sorted(fractions)
    assert any(0 < one < 1 for one in fractions)
    assert [name for name, _ in events] == [""] * (len(events) - 1) + ["end"]
    assert events[-1][1] == events[-2][1]
    assert len(events[-1][1]["pictures"]) == 1


def test_events_of_a_job_that_is_over_are_its_end(api):
    job = submit(api)
    ended(api, job)
    assert [(name, live["state"]) for name, live in stream(api, job)] == [("", "done"), ("end", "done")]


def test_a_preview_while_it_runs(api):
    job = submit(api, "slow", steps=60)
    live = eventually(lambda: (one := api.client.get(f"/api/v1/jobs/{job}").json())["preview"] and one)
    answer = api.client.get(live["preview"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content.startswith(b"\xff\xd8")
    api.client.post(f"/api/v1/jobs/{job}/cancel")
    ended(api, job)
    assert api.client.get(f"/api/v1/jobs/{job}/preview.jpg").status_code == 204


def test_interrupting_keeps_what_there_is(api):
    job = submit(api, "slow", steps=20, batch_count=20)
    eventually(lambda: api.client.get(f"/api/v1/jobs/{job}").json()["pictures"])
    assert api.client.post(f"/api/v1/jobs/{job}/interrupt").status_code == 200
    over = ended(api, job)
    assert over["state"] == "interrupted"
    assert 1 <= len(over["pictures"]) < 20


def test_cancelling_one_that_runs_and_one_that_waits(api):
    first, second = submit(api, "slow", steps=100), submit(api, "slow", steps=100)
    eventually(lambda: api.client.get(f"/api/v1/jobs/{first}").json()["state"] == "running")
    waiting = api.client.get(f"/api/v1/jobs/{second}").json()
    assert (waiting["state"], waiting["pictures"]) == ("waiting", [])
    mine = [one["id"] for one in api.client.get("/api/v1/jobs?mine=1").json()]
    assert mine == [first, second], "oldest first"
    counts = api.client.get("/api/v1/engines").json()
    assert (counts["waiting"], counts["running"]) == (1, 1)
    assert counts["engines"][0]["job"] == first
    assert api.client.get("/internal/pending-tasks").json() == {"size": 1, "tasks": [second]}
    queued = api.client.post("/internal/progress", json={"id_task": second}).json()
    assert (queued["queued"], queued["active"], queued["textinfo"]) == (True, False, "In queue: 1/1")
    assert api.client.post(f"/api/v1/jobs/{second}/cancel").json()["state"] == "cancelled"
    api.client.post(f"/api/v1/jobs/{first}/cancel")
    assert ended(api, first)["state"] == "cancelled"
    assert api.client.get("/api/v1/jobs").json() == []


def test_skipping_a_batch(api):
    job = submit(api, "slow", steps=50, batch_count=2, seed=10)
    eventually(lambda: api.client.get(f"/api/v1/jobs/{job}").json()["step"])
    api.client.post(f"/api/v1/jobs/{job}/skip")
    assert [one["seed"] for one in ended(api, job)["pictures"]] == [11]


def test_recent_jobs_newest_first(api):
    first, second = submit(api), submit(api)
    assert [one["id"] for one in api.client.get("/api/v1/jobs?recent=2").json()] == [second, first]
    ended(api, second)
    for bad in ("-1", "1000000", "x"):
        assert api.client.get(f"/api/v1/jobs?recent={bad}").status_code == 422


@pytest.mark.parametrize("id", ["0" * 32, "x", "%00", "..%2f..", "'; drop table jobs", "é" * 200, "x" * 5000])
@pytest.mark.parametrize("what", ["", "/events", "/preview.jpg", "/interrupt", "/skip", "/cancel"])
def test_a_job_nobody_knows(api, id, what):
    method = "POST" if what in ("/interrupt", "/skip", "/cancel") else "GET"
    assert api.client.request(method, f"/api/v1/jobs/{id}{what}").status_code == 404


def test_a_reader_that_leaves_frees_its_place(api):
    job = submit(api, "slow", steps=100)
    for _ in range(60):  # more than one client may have open at once
        with api.client.stream("GET", f"/api/v1/jobs/{job}/events") as answer:
            assert answer.status_code == 200, "the places of readers that left are still taken"
            next(answer.iter_raw())
    api.client.post(f"/api/v1/jobs/{job}/cancel")


def test_one_client_may_not_open_all_streams(api):
    job = submit(api, "slow", steps=150, batch_count=5)
    with httpx.Client(base_url=api.address, limits=httpx.Limits(max_connections=None), timeout=20) as client:
        opened = [
            client.send(client.build_request("GET", f"/api/v1/jobs/{job}/events"), stream=True) for _ in range(26)
        ]
        codes = [answer.status_code for answer in opened]
        assert codes == [200] * 24 + [429] * 2
        for answer in opened:
            answer.close()
    api.client.post(f"/api/v1/jobs/{job}/cancel")
    ended(api, job)


def test_many_readers_see_the_same_end(api):
    job = submit(api, "slow", steps=20)
    ends = []

    def follow() -> None:
        with httpx.Client(base_url=api.address, timeout=30) as client:
            ends.append(stream(api, job, client)[-1])

    readers = [threading.Thread(target=follow) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert [(name, live["state"]) for name, live in ends] == [("end", "done")] * 8
