"""POST /sdapi/v1/img2img against a real queue and a real engine process; and how pictures travel."""

import base64
import io
import json
import threading

import httpx
import pytest
from PIL import Image
from web.http.serving import eventually

from modules.core.requests import EditRequest
from modules.imaging.metadata import read_text

URL = "/sdapi/v1/img2img"


def picture(kind: str = "PNG", colour: str = "red", size: tuple[int, int] = (64, 96), mode: str = "RGB") -> str:
    content = io.BytesIO()
    Image.new(mode, size, colour).save(content, kind)
    return base64.b64encode(content.getvalue()).decode()


def half_mask(size: tuple[int, int] = (64, 96)) -> str:
    """White on the left half."""
    mask = Image.new("L", size)
    mask.paste(255, (0, 0, size[0] // 2, size[1]))
    content = io.BytesIO()
    mask.save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def made(api, **body) -> tuple[dict, dict]:
    known = {"init_images": [picture()], "steps": 2, "width": 64, "height": 96}
    answer = api.client.post(URL, json=known | body)
    assert answer.status_code == 200, answer.text[:500]
    return answer.json(), json.loads(answer.json()["info"])


def opened(text: str) -> Image.Image:
    assert not text.startswith("data:")
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


def newest(api):
    return api.studio.queue.jobs(limit=1)[0]


def refused(api, status: int, **body) -> dict:
    before = api.jobs()
    answer = api.client.post(URL, json=body)
    assert (answer.status_code, api.jobs()) == (status, before), answer.text[:300]
    return answer.json()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_a_picture_from_a_picture(api, kind):
    answer, info = made(api, init_images=[f"data:image/x;base64,{picture(kind)}"], prompt="a cat", seed=5)
    assert opened(answer["images"][0]).size == (64, 96)
    assert (info["prompt"], info["seed"], info["denoising_strength"]) == ("a cat", 5, 0.75)
    request = newest(api).request
    assert isinstance(request, EditRequest)
    assert api.studio.inputs.get(request.init_images[0]) == base64.b64decode(picture(kind))


def test_pictures_are_echoed_only_when_asked(api):
    image, mask = picture(), half_mask()
    parameters = made(api, init_images=[image], mask=mask)[0]["parameters"]
    assert (parameters["init_images"], parameters["mask"], parameters["resize_mode"]) == (None, None, 0)
    parameters = made(api, init_images=[image], mask=mask, include_init_images=True)[0]["parameters"]
    assert (parameters["init_images"], parameters["mask"]) == ([image], mask)


def test_null_in_every_field_means_the_default(api):
    fields = made(api)[0]["parameters"]
    answer = api.client.post(URL, json=dict.fromkeys(fields) | {"init_images": [picture()]})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("images", [None, []])
def test_no_picture(api, images):
    assert refused(api, 404, init_images=images)["detail"] == "Init image not found"
    assert refused(api, 404)["detail"] == "Init image not found"


GARBAGE = {
    "empty": "",
    "no base64": "!!",
    "text": base64.b64encode(b"hello").decode(),
    "gif": picture("GIF"),
    "tiff": picture("TIFF"),
    "cut": picture(size=(300, 300))[:200],
    "data": "data:image/png;base64,",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_no_picture(api, name):
    assert refused(api, 500, init_images=[GARBAGE[name]])["detail"] == "Invalid encoded image"
    if GARBAGE[name]:
        answer = refused(api, 500, init_images=[picture()], mask=GARBAGE[name])
        assert answer["detail"] == "Invalid encoded image"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x.png", "https://evil.com/x.png", "HTTP://[::1]/"])
def test_addresses_are_not_fetched(api, url):
    answer = refused(api, 422, init_images=[url])
    assert "api_enable_requests" in answer["detail"]
    refused(api, 422, init_images=[picture()], mask=url)


def test_too_many_pictures(api):
    answer = refused(api, 500, init_images=[picture(), picture()], batch_size=1)
    assert (answer["error"], "batch_size" in answer["errors"]) == ("RuntimeError", True)


@pytest.mark.parametrize(
    ("body", "blamed"),
    [
        ({"resize_mode": 4}, "resize_mode"),
        ({"inpainting_fill": -1}, "inpainting_fill"),
        ({"mask_blur": 65}, "mask_blur_x"),
        ({"inpaint_full_res_padding": 300}, "inpaint_full_res_padding"),
        ({"denoising_strength": 1.1}, "denoising_strength"),
        ({"image_cfg_scale": -1}, "image_cfg_scale"),
        ({"initial_noise_multiplier": 9}, "initial_noise_multiplier"),
        ({"latent_mask": "AAAA"}, "latent_mask"),
        ({"atelier": {"outpaint": [1, 2, 3]}}, "atelier"),
        ({"atelier": {"outpaint": [-8, 0, 0, 0]}}, "atelier"),
        ({"atelier": {"outpaint": [True, 0, 0, 0]}}, "atelier"),
        ({"init_images": "x"}, "init_images"),
        ({"init_images": [[5]]}, "init_images"),
        ({"mask": [1]}, "mask"),
    ],
    ids=str,
)
def test_values_that_cannot_be(api, body, blamed):
    answer = refused(api, 422, **{"init_images": [picture()]} | body)
    assert blamed in answer["detail"][0]["loc"]


def test_nothing_is_stored_for_a_request_that_is_refused(api):
    def stored() -> set[str]:
        return {path.name for path in api.studio.places.inputs.iterdir()}

    made(api)
    before = stored()
    refused(api, 422, init_images=[picture(colour="#123456")], steps=-1)
    refused(api, 422, init_images=[picture(colour="#123456")], override_settings={"rho": -1})
    assert stored() == before


# What comes back --------------------------------------------------------------------------------------------------------


def test_masks_come_back_when_the_settings_say_so(api):
    both = {"return_mask": True, "return_mask_composite": True}
    known = {"mask": half_mask(), "mask_blur": 0, "n_iter": 2, "inpaint_full_res": False}
    answer, info = made(api, **known, override_settings=both)
    assert len(answer["images"]) == len(info["infotexts"]) == 6
    result, mask, cut_out = (opened(one) for one in answer["images"][:3])
    assert [mask.getpixel((x, 9)) for x in (0, 31, 32, 63)] == [(255,) * 3, (255,) * 3, (0,) * 3, (0,) * 3]
    assert (cut_out.mode, cut_out.size) == ("RGBA", result.size)
    assert cut_out.getpixel((5, 5)) == (*result.getpixel((5, 5)), 255)
    assert cut_out.getpixel((60, 5))[3] == 0
    assert len(made(api, **known, override_settings={"return_mask": True})[0]["images"]) == 4
    assert len(made(api, **known)[0]["images"]) == 2
    assert len(made(api, n_iter=2, override_settings=both)[0]["images"]) == 2, "without a mask there is none"


def test_the_mask_the_other_way_round_and_blurred(api):
    known = {"mask": half_mask((128, 64)), "init_images": [picture(size=(128, 64))], "inpaint_full_res": False}
    settings = {"return_mask": True}
    answer, _ = made(api, **known, inpainting_mask_invert=1, mask_blur=8, override_settings=settings)
    mask = opened(answer["images"][1]).convert("L")
    assert mask.size == (64, 96), "at the size of the picture that was made"
    values = [mask.getpixel((x, 48)) for x in range(64)]
    assert values == sorted(values)
    assert (values[0], values[-1]) == (0, 255)
    assert len(set(values)) > 5


def test_sheets_can_be_left_out(api):
    known = {"save_images": True, "n_iter": 2}
    assert len(made(api, **known)[0]["images"]) == 3
    answer, info = made(api, **known, override_settings={"return_grid": False})
    assert (len(answer["images"]), info["index_of_first_image"]) == (2, 0)


@pytest.mark.parametrize(("kind", "format"), [("png", "PNG"), ("jpg", "JPEG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_formats_of_answers(api, kind, format):
    answer, info = made(api, prompt="ä cat 猫", override_settings={"samples_format": kind, "jpeg_quality": 60})
    sent = base64.b64decode(answer["images"][0])
    assert opened(answer["images"][0]).format == format
    assert read_text(sent).infotext == info["infotexts"][0]
    assert read_text(sent).infotext.startswith("ä cat 猫")
    assert api.studio.gallery.path(api.studio.gallery.pictures(job=newest(api).id)[0]).suffix == ".png"


def test_progress_calls_it_by_its_name(api):
    body = {"init_images": [picture()], "prompt": "slow", "steps": 60}
    thread = threading.Thread(target=lambda: httpx.post(api.address + URL, json=body, timeout=60))
    thread.start()
    busy = eventually(lambda: (found := api.client.get("/sdapi/v1/progress").json())["state"]["job_count"] and found)
    assert busy["state"]["job"] in ("scripts_img2img", "scripts_txt2img")
    api.client.post("/sdapi/v1/interrupt")
    thread.join()
