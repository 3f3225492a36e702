"""Two people on one server: neither sees, stops or guesses what is the other's."""

import base64
import hashlib
import threading

import httpx
import pytest
from web.http.drawing_engine import tiny_engine
from web.http.inventory import addresses
from web.http.serving import eventually, running, write_checkpoint

from modules.core.requests import ImageRequest

ANN, BOB = ("ann", "secret"), ("bob", "hidden")
VERBS = {"/interrupt": "POST", "/skip": "POST", "/cancel": "POST"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    write_checkpoint(folder / "models" / "Stable-diffusion" / "tiny.safetensors")
    with running(folder, "--nowebui", "--api-auth", "ann:secret,bob:hidden") as served:
        yield served


@pytest.fixture
def anns(shared):
    """A job of Ann's that runs."""
    job = shared.studio.desk.submit(ImageRequest(prompt="slow private", steps=150, batch_count=3), owner="ann")
    eventually(lambda: shared.studio.watch.live(job.id).preview)
    yield job.id
    shared.studio.queue.cancel(job.id)
    eventually(lambda: shared.studio.queue.job(job.id).over)


@pytest.mark.parametrize("what", ["", "/events", "/preview.jpg", *VERBS])
def test_another_ones_job_is_not_there(shared, anns, what):
    answer = shared.client.request(VERBS.get(what, "GET"), f"/api/v1/jobs/{anns}{what}", auth=BOB)
    unknown = shared.client.request(VERBS.get(what, "GET"), f"/api/v1/jobs/{'0' * 32}{what}", auth=BOB)
    assert (answer.status_code, answer.text.replace(anns, "")) == (404, unknown.text.replace("0" * 32, ""))
    assert shared.studio.queue.job(anns).state == "running"
    assert shared.client.get(f"/api/v1/jobs/{anns}", auth=ANN).status_code == 200


def test_lists_hold_ones_own(shared, anns):
    waiting = shared.studio.desk.submit(ImageRequest(prompt="slow", steps=2), owner="ann")
    for path in ("/api/v1/jobs", "/api/v1/jobs?recent=50", "/internal/pending-tasks", "/api/v1/pictures"):
        theirs, own = (shared.client.get(path, auth=login).text for login in (BOB, ANN))
        assert "private" not in theirs, path
        assert anns not in theirs, path
        assert waiting.id not in theirs, path
        assert own != theirs or path == "/api/v1/pictures"


def test_an_engine_does_not_tell_whose_job_it_has(shared, anns):
    assert shared.client.get("/api/v1/engines", auth=ANN).json()["engines"][0]["job"] == anns
    assert shared.client.get("/api/v1/engines", auth=BOB).json()["engines"][0]["job"] == ""


def test_progress_is_seen_but_not_the_picture(shared, anns):
    own = shared.client.get("/sdapi/v1/progress", auth=ANN).json()
    theirs = shared.client.get("/sdapi/v1/progress", auth=BOB).json()
    assert own["current_image"]
    assert theirs["current_image"] is None
    assert theirs["state"]["job_count"] == 3, "clients wait until the server is idle"


def test_nobody_stops_anothers_job(shared, anns):
    shared.client.post("/sdapi/v1/interrupt", auth=BOB)
    shared.client.post("/sdapi/v1/skip", auth=BOB)
    assert shared.studio.queue.job(anns).stop == ""


def test_pictures_are_their_owners(shared):
    job = shared.studio.desk.submit(ImageRequest(prompt="mine", steps=1), owner="ann")
    eventually(lambda: shared.studio.queue.job(job.id).over)
    (picture,) = shared.studio.gallery.pictures(job=job.id)
    for end in (".png", ""):
        path = f"/api/v1/pictures/{picture.id}{end}"
        assert shared.client.get(path, auth=ANN).status_code == 200
        assert shared.client.get(path, auth=BOB).status_code == 404


def test_what_ann_brings_along_bob_never_hears_of(shared):
    """Who has the bytes may use them; nothing tells the id of anybody else's."""
    body = {
        "init_images": [base64.b64encode(tiny_engine.png(77, 64, 64)).decode()],
        "prompt": "slow private",
        "steps": 60,
    }
    url = f"{shared.address}/sdapi/v1/img2img"
    thread = threading.Thread(target=lambda: httpx.post(url, json=body, auth=ANN, timeout=60))
    thread.start()
    id = hashlib.sha256(tiny_engine.png(77, 64, 64)).hexdigest()
    job = eventually(lambda: shared.client.get("/api/v1/jobs", auth=ANN).json())[0]["id"]
    assert id in shared.client.get(f"/api/v1/jobs/{job}", auth=ANN).text
    paths = [address.path for address in addresses(shared.app, gradio=False) if address.method == "GET"]
    for path in [*paths, f"/api/v1/jobs/{job}", "/api/v1/jobs?recent=100"]:
        if "events" not in path:
            assert id not in shared.client.get(path, auth=BOB).text, path
    shared.client.post(f"/api/v1/jobs/{job}/cancel", auth=ANN)
    thread.join()


def test_the_same_task_name_means_each_ones_own(shared):
    """And a task name is no way to another one's job."""
    name = {"force_task_id": "mine", "steps": 40, "prompt": "slow"}
    url = f"{shared.address}/sdapi/v1/txt2img"
    thread = threading.Thread(target=lambda: httpx.post(url, json=name, auth=ANN, timeout=60))
    thread.start()
    ask = {"id_task": "mine"}
    eventually(lambda: shared.client.post("/internal/progress", json=ask, auth=ANN).json()["active"])
    other = shared.client.post("/internal/progress", json=ask, auth=BOB).json()
    assert (other["active"], other["queued"], other["completed"]) == (False, False, False)
    thread.join()


def test_ids_cannot_be_guessed(shared):
    ids = {shared.studio.desk.submit(ImageRequest(prompt="x", steps=1), owner="bob").id for _ in range(20)}
    assert len(ids) == 20
    assert all(len(bytes.fromhex(id)) >= 16 for id in ids)
