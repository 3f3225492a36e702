"""The client that people use, webuiapi 0.9.17, against our server, login included."""

import pytest
import webuiapi
from web.http.serving import eventually, running, write_checkpoint


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("client")
    write_checkpoint(folder / "models" / "Stable-diffusion" / "tiny.safetensors")
    write_checkpoint(folder / "models" / "Stable-diffusion" / "other.safetensors", "other")
    with running(folder, "--nowebui", "--api-auth", "ann:secret") as served:
        eventually(lambda: served.studio.catalogue.now().samplers)
        eventually(lambda: all(record.sha256 for record in served.studio.library.models()))
        host, _, port = served.address.removeprefix("http://").partition(":")
        yield webuiapi.WebUIApi(host=host, port=int(port), username="ann", password="secret", steps=3)


def test_a_picture(client):
    result = client.txt2img(prompt="a red cat", negative_prompt="blurry", seed=1003, cfg_scale=7)
    assert result.image.size == (512, 512)
    assert result.info["seed"] == 1003
    assert result.parameters["prompt"] == "a red cat"
    assert result.image.text["parameters"].startswith("a red cat")


def test_several_pictures(client):
    result = client.txt2img(prompt="x", seed=1, n_iter=2, batch_size=2, width=64, height=64, sampler_name="DDIM")
    assert len(result.images) == 4
    assert result.info["all_seeds"] == [1, 2, 3, 4]
    saved = client.txt2img(prompt="x", n_iter=2, width=64, height=64, save_images=True)
    assert len(saved.images) == 3


def test_every_list(client):
    assert "Euler a" in client.util_get_sampler_names()
    assert client.util_get_scheduler_names()
    assert len(client.util_get_model_names()) == 3  # the starter is always there
    lists = ("sd_vae", "loras", "hypernetworks", "face_restorers", "realesrgan_models")
    assert [getattr(client, f"get_{name}")() for name in lists] == [[]] * 5
    assert len(client.get_latent_upscale_modes()) == 6
    assert client.get_scripts() == {"txt2img": ["refiner"], "img2img": ["refiner", "soft inpainting"]}
    assert client.get_embeddings() == {"loaded": {}, "skipped": {}}
    assert client.get_memory()["ram"]["total"]
    assert client.get_cmd_flags()["nowebui"] is True
    assert client.refresh_checkpoints() is None


def test_options(client):
    client.set_options({"CLIP_stop_at_last_layers": 2})
    assert client.get_options()["CLIP_stop_at_last_layers"] == 2
    assert client.txt2img(width=64, height=64).info["clip_skip"] == 2
    assert client.set_options({"no_such": 1})["error"] == "KeyError"


def test_choosing_a_model_by_about_its_name(client):
    client.util_set_model("tiny.safetensor")
    assert client.util_get_current_model().startswith("tiny.safetensors")
    client.util_set_model("othr.safetensors")
    assert client.util_get_current_model().startswith("other.safetensors")


def test_stopping_and_waiting(client):
    assert client.interrupt() == {}
    assert client.skip() is None
    assert client.get_progress()["progress"] == 0
    client.util_wait_for_ready(check_interval=0.01)


def test_what_is_in_a_picture(client):
    made = client.txt2img(prompt="a blue cup", width=64, height=64, seed=7)
    assert client.png_info(made.image).info.startswith("a blue cup")


def test_extensions_that_are_not_there(client):
    for ask in (client.controlnet_version, client.controlnet_model_list):
        with pytest.raises((RuntimeError, KeyError)):
            ask()


def test_a_wrong_password(client):
    host, port = client.baseurl.removeprefix("http://").removesuffix("/sdapi/v1").split(":")
    stranger = webuiapi.WebUIApi(host=host, port=int(port), username="ann", password="guess")
    with pytest.raises(RuntimeError, match="401"):
        stranger.txt2img()
