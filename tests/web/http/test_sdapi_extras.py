"""Extras and interrogate over the field's API, with a real engine: raw bodies and the client that people use."""

import base64
import io

import numpy as np
import pytest
import torch
import web.http.serving
import webuiapi
from PIL import Image, PngImagePlugin
from web.http.serving import eventually, running

from modules.core.requests import UpscaleRequest
from modules.services.connection import COMMAND
from modules.starter.world import Spec, draw

INFOTEXT = "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 123, Size: 16x12"


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A server whose engine is the real one; the starter is its only model."""
    folder = tmp_path_factory.mktemp("extras")
    (folder / "models" / "RealESRGAN").mkdir(parents=True)
    torch.save({"params": {"a": torch.zeros(1)}}, folder / "models" / "RealESRGAN" / "odd.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web.http.serving, "ENGINE", COMMAND)
        with running(folder, "--nowebui") as served:
            eventually(lambda: served.studio.catalogue.now().upscalers, seconds=120)
            yield served


@pytest.fixture(scope="module")
def client(real):
    host, _, port = real.address.removeprefix("http://").partition(":")
    return webuiapi.WebUIApi(host=host, port=int(port))


def noise(width=16, height=12, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def base64_of(image, text=INFOTEXT):
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("parameters", text)
    written = io.BytesIO()
    image.save(written, "PNG", pnginfo=chunks)
    return base64.b64encode(written.getvalue()).decode()


def image_of(text):
    return Image.open(io.BytesIO(base64.b64decode(text)))


def ask(real, path, **body):
    return real.client.post(f"/sdapi/v1/{path}", json=body)


# The lists ----------------------------------------------------------------------------------------------------------


def test_upscalers(real, client):
    found = real.client.get("/sdapi/v1/upscalers").json()
    assert [one["name"] for one in found] == ["None", "Lanczos", "Nearest", "odd"]
    assert set(found[0]) == {"name", "model_name", "model_path", "model_url", "scale"}
    assert found[0]["model_path"] is None
    assert found[3]["model_path"].endswith("odd.pth")
    assert [one["name"] for one in client.get_upscalers()] == [one["name"] for one in found]


def test_realesrgan_models(real):
    (found,) = real.client.get("/sdapi/v1/realesrgan-models").json()
    assert (found["name"], set(found)) == ("odd", {"name", "path", "scale"})


# One picture --------------------------------------------------------------------------------------------------------


def test_a_picture_alone_comes_back_as_it_is(real):
    answer = ask(real, "extra-single-image", image=base64_of(noise()), unknown_key=1)
    assert answer.status_code == 200
    assert set(answer.json()) == {"image", "html_info"}
    image = image_of(answer.json()["image"])
    assert image.tobytes() == noise().tobytes()
    assert image.text == {"parameters": INFOTEXT}


def test_a_picture_made_larger_says_so(real):
    body = {"image": f"data:image/png;base64,{base64_of(noise())}", "upscaler_1": "lanczos", "upscaling_resize": 1.5}
    answer = ask(real, "extra-single-image", **body).json()
    image = image_of(answer["image"])
    assert image.size == (24, 18)
    assert image.text == {
        "parameters": INFOTEXT,
        "postprocessing": "Postprocess upscale by: 1.5, Postprocess upscaler: Lanczos",
    }
    assert answer["html_info"] == f"<p>{image.text['postprocessing']}</p>"


def test_to_a_size(real):
    body = {"image": base64_of(noise()), "resize_mode": 1, "upscaling_resize_w": 40, "upscaling_resize_h": 40}
    assert image_of(ask(real, "extra-single-image", upscaler_1="Nearest", **body).json()["image"]).size == (40, 40)
    wide = ask(real, "extra-single-image", upscaler_1="Nearest", upscaling_crop=False, **body).json()["image"]
    assert image_of(wide).size == (53, 40)


def test_nulls_mean_the_defaults(real):
    fields = [
        name for name in ask(real, "extra-single-image", resize_mode="x").json()["detail"][0]["loc"] if name != "body"
    ]
    assert fields == ["resize_mode"]
    nulls = dict.fromkeys(["resize_mode", "upscaling_resize", "upscaler_1", "upscaler_2", "upscale_first"])
    assert ask(real, "extra-single-image", image=base64_of(noise()), **nulls).status_code == 200


def test_nothing_is_filed(real):
    before = len(real.studio.gallery.pictures())
    ask(real, "extra-single-image", image=base64_of(noise()), upscaler_1="Lanczos")
    assert len(real.studio.gallery.pictures()) == before


def test_jpeg_answers_keep_the_text(real):
    real.studio.settings.set({"samples_format": "jpg"})
    try:
        answer = ask(real, "extra-single-image", image=base64_of(noise()), upscaler_1="Lanczos").json()
    finally:
        real.studio.settings.set({"samples_format": "png"})
    image = image_of(answer["image"])
    assert image.format == "JPEG"
    assert INFOTEXT.encode("utf-16-be") in image.getexif().get_ifd(0x8769)[0x9286]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"resize_mode": 2}, 422),
        ({"resize_mode": -1}, 422),
        ({"gfpgan_visibility": 1.1}, 422),
        ({"codeformer_weight": -0.1}, 422),
        ({"extras_upscaler_2_visibility": 2}, 422),
        ({"upscaling_resize": 0}, 422),
        ({"upscaling_resize": 9}, 422),
        ({"upscaling_resize": "many"}, 422),
        ({"upscaling_resize_w": 0}, 422),
        ({"upscaling_resize_w": 100_000, "resize_mode": 1}, 422),
        ({"gfpgan_visibility": 0.5}, 422),
        ({"codeformer_visibility": 1}, 422),
        ({"image": ""}, 500),
        ({"image": "%%%"}, 500),
        ({"image": base64.b64encode(b"no picture").decode()}, 500),
        ({"image": "http://127.0.0.1/x.png"}, 422),
        ({"upscaler_1": "no such"}, 500),
        ({"upscaler_2": "no such", "extras_upscaler_2_visibility": 1}, 500),
    ],
)
def test_what_cannot_be_asked(real, body, status):
    before = real.jobs()
    answer = ask(real, "extra-single-image", **({"image": base64_of(noise()), "upscaler_1": "Lanczos"} | body))
    assert answer.status_code == status
    assert real.jobs() == before


def test_refusals_say_what_to_do(real):
    faces = ask(real, "extra-single-image", image=base64_of(noise()), gfpgan_visibility=1).json()
    assert "restored" in faces["detail"][0]["msg"]
    unknown = ask(real, "extra-single-image", image=base64_of(noise()), upscaler_1="Lanzcos").json()
    assert "could not find upscaler" in unknown["errors"]


def test_a_file_that_is_no_upscaler_fails_with_the_reason(real):
    answer = ask(real, "extra-single-image", image=base64_of(noise()), upscaler_1="odd")
    assert answer.status_code == 500
    assert "odd.pth" in answer.json()["errors"]
    assert "spandrel" in answer.json()["errors"] or "layer" in answer.json()["errors"]


# Several, by webuiapi -----------------------------------------------------------------------------------------------


def test_the_client_enlarges_one(client):
    result = client.extra_single_image(noise(), upscaler_1="Lanczos", upscaling_resize=2)
    assert result.image.size == (32, 24)
    assert "Postprocess upscaler: Lanczos" in result.info


def test_the_client_enlarges_several_in_their_order(client):
    sources = [noise(seed=n) for n in range(3)]
    result = client.extra_batch_images(sources, ["c.png", "a.png", "b.png"], upscaler_1="Nearest", upscaling_resize=2)
    assert [image.getpixel((0, 0)) for image in result.images] == [one.getpixel((0, 0)) for one in sources]
    same = client.extra_batch_images([noise(), noise()], upscaler_1="None")
    assert len(same.images) == 2


def test_a_batch_needs_its_list(real):
    assert ask(real, "extra-batch-images").status_code == 422
    assert ask(real, "extra-batch-images", imageList=None).status_code == 422
    assert ask(real, "extra-batch-images", imageList=[]).json() == {"html_info": "", "images": []}
    assert ask(real, "extra-batch-images", imageList=[{"data": "%", "name": "x"}]).status_code == 500
    assert ask(real, "extra-batch-images", imageList=[{"data": "", "name": "x"}] * 1001).status_code == 422


# Words --------------------------------------------------------------------------------------------------------------


def test_the_client_asks_what_a_picture_shows(client):
    image, _ = draw(Spec(subject="fish", colour="blue", place="in the ocean"), 5, 128)
    result = client.interrogate(image)
    assert "in the ocean" in result.info
    assert result.info == client.interrogate(image, "clip").info


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 404, "Image not found"),
        ({"image": None}, 404, "Image not found"),
        ({"image": ""}, 404, "Image not found"),
        ({"model": "deepdanbooru"}, 404, "Model not found"),
        ({"model": "x"}, 404, "Model not found"),
        ({"image": "A" * 100}, 500, "Invalid encoded image"),
        ({"image": 3}, 422, None),
    ],
)
def test_what_cannot_be_described(real, body, status, detail):
    picture = {} if detail == "Image not found" else {"image": base64_of(noise())}
    answer = ask(real, "interrogate", **(picture | body))
    assert answer.status_code == status
    assert detail is None or answer.json()["detail"] == detail


def test_without_a_captioner_the_answer_says_what_is_missing(real):
    answer = ask(real, "interrogate", image=base64_of(noise()), model="caption")
    assert answer.status_code == 404
    assert "models/BLIP" in answer.json()["detail"]


def test_the_settings_fill_in_the_tiles(real):
    answer = ask(real, "extra-single-image", image=base64_of(noise()), upscaler_1="Lanczos")
    assert answer.status_code == 200
    request = real.studio.queue.jobs(limit=1)[0].request
    assert isinstance(request, UpscaleRequest)
    assert (request.tile, request.tile_overlap) == (192, 8)
