"""Lists of the files beside the checkpoints."""

import json
import struct

import pytest
from web.http.serving import eventually, running, write_checkpoint


def tensors(path, shapes: dict[str, list[int]], **metadata: str) -> None:
    """A safetensors file of zeros."""
    header, place = {"__metadata__": metadata}, 0
    for name, shape in shapes.items():
        size = 4 * shape[0] * shape[-1] if len(shape) > 1 else 4 * shape[0]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [place, place + size]}
        place += size
    head = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(place))


@pytest.fixture(scope="module")
def shelved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shelved")
    models = folder / "models"
    write_checkpoint(models / "Stable-diffusion" / "tiny.safetensors")
    tensors(models / "Lora" / "sub" / "glass.safetensors", {"a.lora_down.weight": [4, 8]}, ss_output_name="Glass")
    (models / "Lora" / "broken.safetensors").write_bytes(b"no")
    tensors(models / "VAE" / "soft.vae.safetensors", {"decoder.conv_in.weight": [4, 8]})
    (models / "hypernetworks").mkdir()
    (models / "hypernetworks" / "anime.pt").write_bytes(b"\x80\x04N.")
    tensors(folder / "embeddings" / "easy.safetensors", {"emb_params": [3, 768]})
    (folder / "embeddings" / "bad.safetensors").write_bytes(b"no")
    with running(folder, "--nowebui") as served:
        eventually(lambda: served.studio.catalogue.now().samplers)
        yield served


def got(served, path: str):
    answer = served.client.get(f"/sdapi/v1/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_loras(shelved):
    (one,) = got(shelved, "loras")
    assert set(one) == {"name", "alias", "path", "metadata"}
    assert (one["name"], one["alias"]) == ("glass", "Glass")
    assert one["path"].endswith("glass.safetensors")
    assert one["metadata"] == {"ss_output_name": "Glass"}


def test_autoencoders(shelved):
    (one,) = got(shelved, "sd-vae")
    assert (one["model_name"], set(one)) == ("soft.vae.safetensors", {"model_name", "filename"})


def test_hypernetworks(shelved):
    (one,) = got(shelved, "hypernetworks")
    assert (one["name"], set(one)) == ("anime", {"name", "path"})


def test_embeddings(shelved):
    found = got(shelved, "embeddings")
    known = {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None, "shape": 768, "vectors": 3}
    assert found["loaded"] == {"easy": known}
    assert set(found["skipped"]) == {"bad"}


def test_a_refresh_finds_what_is_new(shelved):
    tensors(shelved.studio.places.models / "Lora" / "later.safetensors", {"a.lora_down.weight": [4, 8]})
    assert shelved.client.post("/sdapi/v1/refresh-loras").json() is None
    assert {one["name"] for one in got(shelved, "loras")} == {"glass", "later"}
