"""The field's API from end to end: webuiapi as the client, a real engine, the starter model."""

import io

import numpy as np
import pytest
import webuiapi
from PIL import Image
from web.http.serving import eventually, running

from modules.services.connection import COMMAND

SIDE = 64


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with running(tmp_path_factory.mktemp("real"), "--nowebui", engine=COMMAND) as served:
        eventually(lambda: served.studio.engines.states()[0].state == "ready", 180)
        yield served


@pytest.fixture(scope="module")
def client(served):
    host, _, port = served.address.removeprefix("http://").partition(":")
    return webuiapi.WebUIApi(host=host, port=int(port), steps=4, sampler="Euler")


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def cat(client):
    return client.txt2img(prompt="a red cat", seed=5, width=SIDE, height=SIDE)


def test_the_same_request_gives_the_same_picture(client, cat):
    again = client.txt2img(prompt="a red cat", seed=5, width=SIDE, height=SIDE)
    assert (pixels(again.image) == pixels(cat.image)).all()
    assert again.info["infotexts"] == cat.info["infotexts"]


def test_what_stands_in_a_picture_makes_it_again(served, client, cat):
    text = client.png_info(cat.image).info
    answer = served.client.post("/sdapi/v1/txt2img", json={"infotext": text}).json()
    picture = Image.open(io.BytesIO(webuiapi.webuiapi.base64.b64decode(answer["images"][0])))
    assert (pixels(picture) == pixels(cat.image)).all()


def test_each_thing_asked_for_changes_the_picture(client, cat):
    """Whatever is accepted is done: none of these may come out as the plain picture."""
    asks = {
        "variation": {"subseed": 9, "subseed_strength": 0.5},
        "seed size": {"seed_resize_from_w": 96, "seed_resize_from_h": 96},
        "tiling": {"tiling": True},
        "churn": {"s_churn": 20},
        "schedule": {"scheduler": "karras"},
        "sampler": {"sampler_name": "DPM++ 2M"},
        "negative": {"negative_prompt": "cat"},
        "clip skip": {"override_settings": {"CLIP_stop_at_last_layers": 2}},
        "noise": {"override_settings": {"randn_source": "NV"}},
        "early": {"override_settings": {"skip_early_cond": 0.5}},
        "eta": {"sampler_name": "Euler a", "eta": 0.3},
    }
    plain = pixels(cat.image)
    for name, ask in asks.items():
        made = client.txt2img(**{"prompt": "a red cat", "seed": 5, "width": SIDE, "height": SIDE} | ask)
        assert np.abs(pixels(made.image) - plain).mean() > 0.05, name


@pytest.mark.parametrize("upscaler", ["Latent", "Latent (nearest-exact)", "Lanczos"])
def test_a_second_pass(client, upscaler):
    made = client.txt2img(
        prompt="a red cat", seed=5, width=SIDE, height=SIDE, enable_hr=True, hr_scale=1.5, hr_upscaler=upscaler
    )
    assert made.image.size == (96, 96)
    assert made.info["extra_generation_params"]["Hires upscaler"] == upscaler
    assert "Hires upscale: 1.5" in made.info["infotexts"][0]
    assert made.info["denoising_strength"] == 0.7


def test_img2img(client, cat):
    near = client.img2img(images=[cat.image], prompt="a blue cat", seed=1, denoising_strength=0.2, width=64, height=64)
    far = client.img2img(images=[cat.image], prompt="a blue cat", seed=1, denoising_strength=0.9, width=64, height=64)
    distances = [np.abs(pixels(one.image) - pixels(cat.image)).mean() for one in (near, far)]
    assert 0 < distances[0] < distances[1]
    assert near.parameters["init_images"] is None


@pytest.mark.parametrize("only_masked", [False, True])
def test_what_is_not_masked_comes_back_exactly(client, cat, only_masked):
    mask = Image.new("L", cat.image.size)
    mask.paste(255, (0, 0, 24, 64))
    made = client.img2img(
        images=[cat.image],
        mask_image=mask,
        prompt="a dog",
        seed=1,
        denoising_strength=0.9,
        inpainting_fill=1,
        inpaint_full_res=only_masked,
        mask_blur=0,
        width=SIDE,
        height=SIDE,
    )
    before, after = pixels(cat.image), pixels(made.image)
    assert (before[:, 24:] == after[:, 24:]).all()
    assert np.abs(before[:, :24] - after[:, :24]).mean() > 1
    assert made.info["is_using_inpainting_conditioning"] is False


def test_outpainting(served, cat):
    content = io.BytesIO()
    cat.image.save(content, "PNG")
    image = webuiapi.webuiapi.base64.b64encode(content.getvalue()).decode()
    body = {
        "init_images": [image],
        "steps": 2,
        "seed": 1,
        "width": 96,
        "height": SIDE,
        "mask_blur": 0,
        "inpaint_full_res": False,
        "atelier": {"outpaint": [0, 0, 32, 0]},
    }
    answer = served.client.post("/sdapi/v1/img2img", json=body)
    assert answer.status_code == 200, answer.text
    made = Image.open(io.BytesIO(webuiapi.webuiapi.base64.b64decode(answer.json()["images"][0])))
    assert made.size == (96, SIDE)
    assert (pixels(made)[:, :SIDE] == pixels(cat.image)).all()


def test_alternating_prompts_and_several_at_once(client):
    made = client.txt2img(prompt="a [red|blue] cat AND a dog :0.4", seed=2, width=SIDE, height=SIDE, batch_size=2)
    assert len({image.tobytes() for image in made.images}) == 2
    alone = client.txt2img(prompt="a [red|blue] cat AND a dog :0.4", seed=3, width=SIDE, height=SIDE)
    assert np.abs(pixels(alone.image) - pixels(made.images[1])).max() <= 2, (
        "a picture does not depend on its neighbours"
    )
