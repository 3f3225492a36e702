"""`/api/v1/models`, `/downloads`, `/merges`: cards by ids, edits beside the files, the trash; downloads from a real server."""

import io
import itertools
import json
from dataclasses import replace

import pytest
from PIL import Image
from services.test_shelf import LORA, write_tensors
from services.web_server import Page, Server
from web.http.serving import eventually, running, write_checkpoint
from web.http.test_pictures import ELSEWHERE

from modules.core.requests import ImageRequest
from modules.imaging.metadata import png_bytes, read_text
from modules.services import fetch_transfer
from modules.services.fetch_net import Net
from modules.services.fetch_sources import Sources

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """A server with a checkpoint, an embedding and a LoRA; tests that change one bring their own."""
    folder = tmp_path_factory.mktemp("models")
    write_checkpoint(folder / "models" / "Stable-diffusion" / "tiny.safetensors")
    write_tensors(folder / "models" / "Lora" / "<img src=x onerror=alert(1)>.safetensors", LORA)
    write_tensors(folder / "embeddings" / "neg.safetensors", {"emb_params": (2, 768)})
    with running(folder, "--nowebui") as served:
        eventually(lambda: served.studio.catalogue.now().samplers)
        yield served


@pytest.fixture
def style(api):
    """The card of a LoRA of this test's own."""
    name = f"style{next(NUMBERS)}"
    tags = json.dumps({"1_cat": {"red hat": 3, "cat": 9}})
    write_tensors(api.studio.places.models / "Lora" / "sub" / f"{name}.safetensors", LORA, {"ss_tag_frequency": tags})
    return {one["name"]: one for one in api.client.post("/api/v1/models/refresh").json()["models"]}[name]


def beside(api, style, ending):
    return api.studio.places.models / "Lora" / "sub" / f"{style['name']}{ending}"


def cards(api):
    return {one["name"]: one for one in api.client.get("/api/v1/models").json()["models"]}


def small_png(colour="red", size=(96, 64), text=""):
    return png_bytes(Image.new("RGB", size, colour), text)


def test_all_cards(api, style):
    listed = api.client.get("/api/v1/models").json()
    found = {one["name"]: one for one in listed["models"]}
    assert found[style["name"]] | {"hash": ""} == style | {"hash": ""}
    assert (style["kind"], style["folder"], style["base"], style["use"]) == ("lora", "sub", "SD 1.x", style["name"])
    assert (style["problem"], style["preview"], style["trigger"]) == ("", "", "")
    assert found["neg"]["kind"] == "embedding"
    assert listed["chosen"]["checkpoint"] == found["tiny"]["id"]
    assert listed["offline"] is False
    assert str(api.studio.places.data) not in api.client.get("/api/v1/models").text


def test_one_card_in_full(api, style):
    found = api.client.get(f"/api/v1/models/{style['id']}").json()
    assert found["tags"] == ["cat", "red hat"]
    assert "ss_tag_frequency" in found["metadata"]


def test_new_files_after_a_refresh(api):
    write_tensors(api.studio.places.models / "Lora" / "new.safetensors", LORA)
    listed = api.client.post("/api/v1/models/refresh").json()["models"]
    assert "new" in {one["name"] for one in listed}


@pytest.mark.parametrize("name", ELSEWHERE)
@pytest.mark.parametrize("end", ["", "/preview.jpg"])
def test_no_id_leads_elsewhere(api, name, end):
    """Row 33."""
    answer = api.client.get(f"/api/v1/models/{name}{end}")
    assert answer.status_code in (400, 404, 405)
    assert "root:" not in answer.text


def test_notes_are_written_beside_the_file(api, style):
    body = {"activation_text": "red hat", "preferred_weight": 0.7, "notes": "<b>nice</b>", "base": "SDXL"}
    answer = api.client.put(f"/api/v1/models/{style['id']}/notes", json=body)
    assert (answer.status_code, answer.json()["trigger"], answer.json()["weight"]) == (200, "red hat", 0.7)
    written = json.loads(beside(api, style, ".json").read_text())
    assert (written["activation text"], written["notes"]) == ("red hat", "<b>nice</b>")
    assert cards(api)[style["name"]]["base"] == "SDXL"


@pytest.mark.parametrize(
    "body",
    [{"preferred_weight": 11}, {"preferred_weight": "x"}, {"notes": "x" * 20_001}, {"notes": 5}, {"notes": None}, []],
)
def test_odd_notes(api, style, body):
    answer = api.client.put(f"/api/v1/models/{style['id']}/notes", json=body)
    assert answer.status_code == 422
    assert not beside(api, style, ".json").exists()


def test_a_picture_of_the_gallery_becomes_the_preview(api, style):
    job = api.studio.desk.submit(ImageRequest(prompt="a cat", steps=1))
    eventually(lambda: api.studio.queue.job(job.id).over)
    picture = api.studio.gallery.pictures(job=job.id)[0]
    api.studio.gallery.path(picture).write_bytes(small_png(text="a cat\nSteps: 1"))
    shown = api.client.post(f"/api/v1/models/{style['id']}/preview", json={"picture": picture.id}).json()
    assert read_text(beside(api, style, ".preview.png").read_bytes()).infotext.startswith("a cat")
    answer = api.client.get(shown["preview"])
    assert answer.headers["content-type"] == "image/jpeg"
    assert "immutable" in answer.headers["cache-control"]
    assert Image.open(io.BytesIO(answer.content)).size == (96, 64)


def test_a_picture_brought_along_is_made_small(api, style):
    id = api.studio.inputs.keep(small_png("blue", (3000, 1500)))
    shown = api.client.post(f"/api/v1/models/{style['id']}/preview", json={"input": id}).json()
    assert Image.open(beside(api, style, ".preview.png")).size == (1024, 512)
    small = api.client.get(shown["preview"])
    assert Image.open(io.BytesIO(small.content)).size == (512, 256)
    assert api.client.get(shown["preview"]).content == small.content


def test_a_new_picture_has_a_new_address(api, style):
    seen = []
    for colour in ("red", "blue"):
        id = api.studio.inputs.keep(small_png(colour))
        shown = api.client.post(f"/api/v1/models/{style['id']}/preview", json={"input": id}).json()
        seen.append((shown["preview"], api.client.get(shown["preview"]).content))
    assert len(set(seen)) == len({address for address, _ in seen}) == 2


@pytest.mark.parametrize("body", [{}, {"picture": "x"}, {"input": "../../etc/passwd"}, {"input": "0" * 64}])
def test_no_such_picture(api, style, body):
    answer = api.client.post(f"/api/v1/models/{style['id']}/preview", json=body)
    assert answer.status_code in (404, 422)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"<svg xmlns='x'/>"])
def test_files_that_are_no_pictures_are_not_served(api, style, content):
    """Row 30: what lies beside a model is a stranger's file."""
    beside(api, style, ".png").write_bytes(content)
    assert api.client.get(cards(api)[style["name"]]["preview"]).status_code == 422


def test_choosing_a_checkpoint(api, style):
    write_checkpoint(api.studio.places.models / "Stable-diffusion" / "sub" / "other.safetensors", "other")
    api.client.post("/api/v1/models/refresh")
    other = cards(api)["other"]
    assert api.client.post(f"/api/v1/models/{other['id']}/choose").status_code == 200
    assert api.studio.desk.current_model().name == "sub/other"
    assert api.client.get("/api/v1/models").json()["chosen"]["checkpoint"] == other["id"]
    assert api.client.post(f"/api/v1/models/{style['id']}/choose").status_code == 422


def test_what_cannot_be_used_cannot_be_chosen(api):
    (api.studio.places.models / "Stable-diffusion" / "old.ckpt").write_bytes(b"\x80pickle")
    api.client.post("/api/v1/models/refresh")
    old = cards(api)["old"]
    assert old["convertible"]
    answer = api.client.post(f"/api/v1/models/{old['id']}/choose")
    assert answer.status_code == 422
    assert "pickle" in answer.text


def test_only_pickles_are_converted(api, style):
    answer = api.client.post(f"/api/v1/models/{style['id']}/convert")
    assert answer.status_code == 422
    assert "need not be converted" in answer.text


def test_removed_and_brought_back(api, style):
    token = api.client.delete(f"/api/v1/models/{style['id']}").json()["token"]
    assert style["name"] not in cards(api)
    assert api.client.get(f"/api/v1/models/{style['id']}").status_code == 404
    assert api.client.post(f"/api/v1/models/trash/{token}/restore").status_code == 200
    assert cards(api)[style["name"]]["id"] == style["id"]
    assert api.client.post(f"/api/v1/models/trash/{token}/restore").status_code == 404
    assert api.client.delete("/api/v1/models/nothing").status_code == 404


# -- merges --------------------------------------------------------------------------------------------------------------------


def test_a_merge_is_a_job(api):
    write_checkpoint(api.studio.places.models / "Stable-diffusion" / "second.safetensors", "second")
    api.client.post("/api/v1/models/refresh")
    answer = api.client.post("/api/v1/merges", json={"model_a": "tiny", "model_b": "second", "multiplier": 0.5})
    assert answer.status_code == 200, answer.text
    job = api.studio.queue.job(answer.json()["id"])
    assert (job.kind, job.request.multiplier) == ("merge", 0.5)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"model_a": "tiny"},
        {"model_a": "tiny", "model_b": "nothing"},
        {"model_a": "tiny", "multiplier": 99},
        {"model_a": "tiny", "method": "Magic"},
        {"model_a": "x" * 99_999},
        {"multiplier": "x"},
    ],
)
def test_merges_that_cannot_be(api, body):
    before = api.jobs()
    answer = api.client.post("/api/v1/merges", json=body)
    assert answer.status_code in (404, 422)
    assert api.jobs() == before


# -- downloads -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def web(api, monkeypatch):
    """A web server; the service of downloads may go there and nowhere else."""
    server = Server()
    monkeypatch.setattr(fetch_transfer, "SPARE_BYTES", 0)
    monkeypatch.setattr(fetch_transfer, "PAUSE", 0.01)
    allowed = Sources(net=Net(loopback=True), hub=server.address, civitai=server.address)
    monkeypatch.setattr(api.studio.downloads, "_sources", replace(allowed))
    yield server
    for one in api.studio.downloads.list():
        api.studio.downloads.forget(one.id)
    server.stop()


def offered(web, tmp_path, name="hats.safetensors"):
    content = write_tensors(tmp_path / "there.safetensors", LORA).read_bytes()
    web.pages[f"/{name}"] = Page(body=content)
    return f"{web.address}/{name}", content


def test_look_fetch_and_list(api, web, tmp_path):
    address, content = offered(web, tmp_path)
    (offer,) = api.client.post("/api/v1/downloads/look", json={"source": address}).json()["offers"]
    assert (offer["name"], offer["size"]) == ("hats.safetensors", len(content))
    begun = api.client.post("/api/v1/downloads", json={"source": address, "kind": "lora"}).json()
    eventually(lambda: api.client.get("/api/v1/downloads").json()["downloads"][0]["state"] == "done")
    eventually(lambda: "hats" in cards(api))
    assert api.client.delete(f"/api/v1/downloads/{begun['id']}").status_code == 200
    assert api.client.get("/api/v1/downloads").json()["downloads"] == []


def test_a_hash_that_is_known(api, web, tmp_path):
    address, _ = offered(web, tmp_path, "caps.safetensors")
    body = {"source": address, "kind": "lora", "sha256": "AB" * 32}
    begun = api.client.post("/api/v1/downloads", json=body).json()
    failed = eventually(
        lambda: (one := api.client.get("/api/v1/downloads").json()["downloads"][0])["state"] == "failed" and one
    )
    assert "not the one announced" in failed["sentence"]
    assert api.client.post(f"/api/v1/downloads/{begun['id']}/cancel").json()["state"] == "cancelled"
    assert "caps" not in cards(api)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"source": ""},
        {"source": "https://127.0.0.1/x.safetensors"},
        {"source": "https://169.254.169.254/latest"},
        {"source": "file:///etc/passwd"},
        {"source": "x" * 5000},
        {"source": "owner/name", "token": "a\r\nb"},
        {"source": 5},
    ],
)
def test_nothing_to_look_at(api, body):
    answer = api.client.post("/api/v1/downloads/look", json=body)
    assert answer.status_code == 422
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    "more", [{"file": "other.safetensors"}, {"kind": "nothing"}, {"kind": ""}, {"sha256": "xyz"}, {"sha256": "ab" * 31}]
)
def test_nothing_to_fetch(api, web, tmp_path, more):
    address, _ = offered(web, tmp_path)
    answer = api.client.post("/api/v1/downloads", json={"source": address, "kind": "lora", **more})
    assert answer.status_code == 422
    assert api.client.get("/api/v1/downloads").json()["downloads"] == []


def test_unknown_downloads(api):
    for call in ("cancel", "resume"):
        assert api.client.post(f"/api/v1/downloads/x/{call}").status_code == 404
    assert api.client.delete("/api/v1/downloads/x").status_code == 404


def test_offline_says_so(tmp_path):
    with running(tmp_path, "--nowebui", "--offline") as served:
        assert served.client.get("/api/v1/downloads").json() == {"downloads": [], "offline": True}
        answer = served.client.post("/api/v1/downloads/look", json={"source": "owner/name"})
        assert answer.status_code == 422
        assert "--offline" in answer.json()["detail"]
