"""`/sd_extra_networks`: previews by path, and only those; what headers say."""

import io
import json

import pytest
from PIL import Image
from services.test_shelf import LORA, write_tensors
from web.http.serving import running


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cards")
    path = write_tensors(folder / "models" / "Lora" / "<b>style.safetensors", LORA, {"ss_output_name": "Pretty"})
    Image.new("RGB", (20, 10), "red").save(path.with_suffix(".png"))
    Image.new("RGB", (20, 10), "red").save(folder / "secret.png")
    with running(folder, "--nowebui") as served:
        yield served


def test_a_preview_by_its_path(api):
    path = api.studio.places.models / "Lora" / "<b>style.png"
    answer = api.client.get("/sd_extra_networks/thumb", params={"filename": str(path)})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(answer.content)).size == (20, 10)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "secret.png",
        "/etc/passwd",
        "../secret.png",
        "Lora/../../secret.png",
        "\0",
        "x" * 4000,
        "C:\\x.png",
        "~/x.png",
    ],
)
def test_no_other_path(api, name):
    """Row 33."""
    for filename in (name, str(api.studio.places.models / "Lora" / name), str(api.studio.places.data / name)):
        answer = api.client.get("/sd_extra_networks/thumb", params={"filename": filename})
        assert answer.status_code in (404, 422)


def test_metadata(api):
    for item in ("<b>style", "Pretty"):
        answer = api.client.get("/sd_extra_networks/metadata", params={"page": "Lora", "item": item}).json()
        assert json.loads(answer["metadata"]) == {"ss_output_name": "Pretty"}
    for page, item in (("lora", "nothing"), ("checkpoints", "Pretty"), ("", ""), ("nothing", "Pretty")):
        assert api.client.get("/sd_extra_networks/metadata", params={"page": page, "item": item}).json() == {}


def test_a_single_card_is_escaped(api):
    known = {"page": "lora", "tabname": "txt2img", "name": "<b>style"}
    markup = api.client.get("/sd_extra_networks/get-single-card", params=known).json()["html"]
    assert "&lt;b&gt;style" in markup
    assert "<b>" not in markup
    assert api.client.get("/sd_extra_networks/get-single-card", params={"page": "lora", "name": "x"}).json() == {}
