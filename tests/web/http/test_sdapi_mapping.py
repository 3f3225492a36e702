"""What a body of the field's API means: each field, and which of several that say something counts."""

import base64
import hashlib
import io

import pytest
from PIL import Image

from modules.core.errors import InvalidRequest
from modules.core.requests import EditRequest, ImageRequest
from modules.prompts.styles import Style
from modules.web.http.answers import KnownFault
from modules.web.http.sdapi import asked_in
from modules.web.http.sdapi_body import Image2ImageBody, Text2ImageBody
from modules.web.http.sdapi_fields import TABLE, their_name


def picture(colour: str = "red", size: tuple[int, int] = (16, 8)) -> str:
    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def id_of(text: str) -> str:
    return hashlib.sha256(base64.b64decode(text)).hexdigest()


def txt2img(api, **body) -> ImageRequest:
    return asked_in(Text2ImageBody(**body), api.studio).request


def img2img(api, **body) -> EditRequest:
    return asked_in(Image2ImageBody(**{"init_images": [picture()]} | body), api.studio).request


SAME_IN_BOTH = [
    ("prompt", "a cat", "prompt", "a cat"),
    ("negative_prompt", "bad", "negative_prompt", "bad"),
    ("styles", ["a", "b"], "styles", ()),
    ("seed", 5, "seed", 5),
    ("subseed", 6, "subseed", 6),
    ("subseed_strength", 0.25, "subseed_strength", 0.25),
    ("sampler_name", "Euler a", "sampler", "Euler a"),
    ("sampler_index", "DDIM", "sampler", "DDIM"),
    ("scheduler", "karras", "schedule", "karras"),
    ("scheduler", "automatic", "schedule", "Automatic"),
    ("scheduler", "Use same scheduler", "schedule", "Automatic"),
    ("batch_size", 3, "batch_size", 3),
    ("n_iter", 4, "batch_count", 4),
    ("steps", 7, "steps", 7),
    ("steps", None, "steps", 50),
    ("cfg_scale", 3.5, "cfg_scale", 3.5),
    ("width", 72, "width", 72),
    ("height", 80, "height", 80),
    ("tiling", True, "tiling", True),
    ("tiling", None, "tiling", False),
    ("s_churn", 4, "s_churn", 4),
    ("s_tmin", 1, "s_tmin", 1),
    ("s_tmax", 0, "s_tmax", 0),
    ("s_noise", 1.01, "s_noise", 1.01),
    ("s_noise", None, "s_noise", 1.0),
    ("s_min_uncond", 2, "s_min_uncond", 2),
    ("refiner_checkpoint", "tiny", "refiner_model", "tiny"),
    ("refiner_checkpoint", "None", "refiner_model", ""),
    ("disable_extra_networks", True, "disable_extra_networks", True),
    ("save_images", True, "save", True),
    ("save_images", None, "save", False),
]


@pytest.mark.parametrize(("name", "value", "field", "meant"), SAME_IN_BOTH, ids=str)
@pytest.mark.parametrize("ask", [txt2img, img2img])
def test_a_field(api, ask, name, value, field, meant):
    assert getattr(ask(api, **{name: value}), field) == meant


@pytest.mark.parametrize(
    ("name", "value", "field", "meant"),
    [
        ("resize_mode", 0, "resize_mode", "Just resize"),
        ("resize_mode", 1, "resize_mode", "Crop and resize"),
        ("resize_mode", 3, "resize_mode", "Just resize (latent upscale)"),
        ("denoising_strength", 0.3, "denoising_strength", 0.3),
        ("denoising_strength", None, "denoising_strength", 0.75),
        ("image_cfg_scale", 2, "image_cfg_scale", 2),
        ("image_cfg_scale", None, "image_cfg_scale", 1.5),
        ("mask_blur_x", 9, "mask_blur_x", 9),
        ("mask_blur", 9, "mask_blur_y", 9),
        ("mask_round", False, "mask_round", False),
        ("inpainting_fill", 1, "masked_content", "original"),
        ("inpainting_fill", None, "masked_content", "fill"),
        ("inpaint_full_res", 0, "inpaint_area", "Whole picture"),
        ("inpaint_full_res", None, "inpaint_area", "Only masked"),
        ("inpaint_full_res_padding", 12, "inpaint_padding", 12),
        ("inpainting_mask_invert", False, "mask_mode", "Inpaint masked"),
        ("inpainting_mask_invert", 1, "mask_mode", "Inpaint not masked"),
        ("initial_noise_multiplier", 0.9, "initial_noise_multiplier", 0.9),
    ],
)
def test_a_field_of_img2img(api, name, value, field, meant):
    assert getattr(img2img(api, **{name: value}), field) == meant


def test_every_field_of_the_table_is_one_of_the_bodies_and_of_a_request():
    bodies = set(Text2ImageBody.model_fields) | set(Image2ImageBody.model_fields)
    assert set(TABLE) <= bodies
    assert {into.field for into in TABLE.values()} <= set(EditRequest.__dataclass_fields__)


def test_an_empty_body(api):
    request = txt2img(api)
    assert (request.steps, request.sampler, request.cfg_scale, request.save) == (50, "Euler", 7.0, False)
    assert (request.width, request.height) == (128, 64), "the model's own size"
    assert request == ImageRequest(model=request.model, width=128, height=64, steps=50, sampler="Euler", save=False), (
        "and nothing else"
    )


HIRES = {
    "enable_hr": True,
    "hr_scale": 1.5,
    "hr_upscaler": "Lanczos",
    "hr_second_pass_steps": 9,
    "hr_resize_x": 256,
    "hr_checkpoint_name": "tiny",
    "hr_sampler_name": "DDIM",
    "hr_scheduler": "Karras",
    "hr_prompt": "large",
    "hr_negative_prompt": "small",
    "denoising_strength": 0.4,
}


def test_styles_that_are_there(api):
    api.studio.styles.save(Style("glass", "made of glass", "metal"))
    assert txt2img(api, styles=["nothing", "glass"]).styles == ("glass",)
    assert txt2img(api, styles=[]).styles == ()
    listed = api.client.get("/sdapi/v1/prompt-styles").json()
    assert listed == [{"name": "glass", "prompt": "made of glass", "negative_prompt": "metal"}]
    api.studio.styles.delete("glass")


def test_the_second_pass(api):
    request = txt2img(api, **HIRES)
    found = (request.hr_scale, request.hr_upscaler, request.hr_steps, request.hr_resize_x, request.denoising_strength)
    assert found == (1.5, "Lanczos", 9, 256, 0.4)
    names = (request.hr_model, request.hr_sampler, request.hr_schedule, request.hr_prompt, request.hr_negative_prompt)
    assert names == ("tiny", "DDIM", "Karras", "large", "small")


def test_the_second_pass_with_its_defaults(api):
    request = txt2img(api, enable_hr=True)
    assert (request.hr_scale, request.hr_upscaler, request.denoising_strength) == (2.0, "Latent", 0.75)
    same = txt2img(
        api,
        enable_hr=True,
        hr_checkpoint_name="Use same checkpoint",
        hr_sampler_name="Use same sampler",
        hr_scheduler="Use same scheduler",
    )
    assert same == request


def test_without_a_second_pass_nothing_of_it_counts(api):
    assert txt2img(api, **HIRES | {"enable_hr": False}) == txt2img(api)
    assert img2img(api, **HIRES | {"denoising_strength": None}) == img2img(api)


@pytest.mark.parametrize(
    ("first", "size"), [((64, 96), (64, 96)), ((64, 0), (64, 128)), ((0, 256), (128, 256)), ((-1, 64), (32, 64))]
)
def test_the_old_way_to_ask_for_a_second_pass(api, first, size):
    width, height = first
    request = txt2img(api, enable_hr=True, width=512, height=1024, firstphase_width=width, firstphase_height=height)
    assert (request.width, request.height, request.hires_size) == (*size, (512, 1024))
    assert txt2img(api, firstphase_width=64).width == 128, "not without enable_hr"


def test_seed_sizes_need_both_sides(api):
    assert txt2img(api, seed_resize_from_w=64).seed_resize_from_w == 0
    both = txt2img(api, seed_resize_from_w=64, seed_resize_from_h=72)
    assert (both.seed_resize_from_w, both.seed_resize_from_h) == (64, 72)


# Which counts -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def setting(api):
    """A function that changes settings for one test."""
    before = {}

    def change(**values):
        before.update({name: api.studio.settings.get(name) for name in values} | before)
        api.studio.settings.set(values)

    yield change
    api.studio.settings.set(before)


def test_settings_fill_in_what_is_null(api, setting):
    setting(s_churn=3, tiling=True, s_noise=1.5, randn_source="NV", initial_noise_multiplier=0.5)
    request = txt2img(api, s_noise=1)
    assert (request.s_churn, request.tiling, request.s_noise, request.noise_source) == (3, True, 1, "NV")
    assert txt2img(api, tiling=False).tiling is False
    assert img2img(api).initial_noise_multiplier == 0.5


def test_override_settings_beat_settings_and_are_beaten_by_the_body(api, setting):
    setting(s_churn=3)
    settings = {"s_churn": 5, "eta_noise_seed_delta": 31337, "sd_vae": "None", "token_merging_ratio_img2img": 0.5}
    request = txt2img(api, override_settings=settings)
    assert (request.s_churn, request.ensd, request.vae, request.token_merging_ratio) == (5, 31337, "None", 0.0)
    assert img2img(api, override_settings=settings).token_merging_ratio == 0.5
    assert txt2img(api, override_settings=settings, s_churn=7).s_churn == 7
    assert txt2img(api, override_settings={"sd_vae": ""}).vae == "Automatic"


TEXT = (
    "a dog\nNegative prompt: bad\nSteps: 4, Sampler: Euler a, Schedule type: Karras, CFG scale: 3, Seed: 9, "
    "Size: 64x72, Variation seed: 12, Variation seed strength: 0.35, Seed resize from: 512x768, Denoising strength: 0.45, "
    "Clip skip: 2, Hires upscale: 1.5, Hires steps: 15, Hires upscaler: Lanczos, Hires sampler: Use same sampler, "
    'Hires prompt: "a dog, large", RNG: NV, ENSD: 31337, Tiling: True, Eta: 0.67, Sigma churn: 10, NGMS: 1.5, '
    "Emphasis: No norm"
)


def test_the_infotext_fills_in_the_rest(api):
    request = txt2img(api, infotext=TEXT, prompt="a cat", cfg_scale=5)
    found = (request.prompt, request.negative_prompt, request.steps, request.sampler, request.schedule)
    assert found == ("a cat", "bad", 4, "Euler a", "Karras")
    assert (request.cfg_scale, request.seed, request.width, request.height) == (5, 9, 64, 72)
    assert (request.subseed, request.subseed_strength, request.seed_resize_from_h) == (12, 0.35, 768)
    assert (request.enable_hr, request.hr_scale, request.hr_steps, request.hr_upscaler) == (True, 1.5, 15, "Lanczos")
    assert (request.hr_sampler, request.hr_prompt, request.denoising_strength) == ("", "a dog, large", 0.45)
    assert (request.clip_skip, request.noise_source, request.ensd, request.tiling) == (2, "NV", 31337, True)
    assert (request.eta, request.s_churn, request.s_min_uncond, request.emphasis) == (0.67, 10, 1.5, "No norm")


def test_what_the_infotext_does_not_say_is_left_to_the_settings(api, setting):
    setting(randn_source="NV", CLIP_stop_at_last_layers=3)
    request = txt2img(api, infotext="a\nSteps: 4, Sampler: Euler, Seed: 9")
    assert (request.noise_source, request.clip_skip, request.enable_hr) == ("NV", 3, False)


def test_override_settings_beat_the_infotext(api):
    assert txt2img(api, infotext=TEXT, override_settings={"CLIP_stop_at_last_layers": 4}).clip_skip == 4


def test_the_infotexts_model_where_it_is_there(api):
    tiny = api.studio.library.find("tiny")
    text = "a\nSteps: 4, Sampler: Euler, Seed: 9, Model hash: {}, Model: {}"
    assert txt2img(api, infotext=text.format(tiny.short_hash, "x")).model == tiny.title
    assert (txt2img(api, infotext=text.format("0" * 10, "tiny"))).model == tiny.title
    gone = txt2img(api, infotext=text.format("0" * 10, "gone"))
    assert gone.model == txt2img(api).model
    assert txt2img(api, infotext=text.format(tiny.short_hash, "x")).width == 64, "and its size"


def test_an_inpainting_infotext(api):
    text = (
        "a hat\nSteps: 20, Sampler: Euler, Seed: 1, Size: 64x64, Denoising strength: 0.6, Mask mode: Inpaint not masked, "
        "Mask blur: 7, Inpaint area: Whole picture, Masked area padding: 16, Masked content: latent noise"
    )
    request = img2img(api, infotext=text)
    assert (request.mask_mode, request.mask_blur_x, request.mask_blur_y) == ("Inpaint not masked", 7, 7)
    assert (request.inpaint_area, request.inpaint_padding) == ("Whole picture", 16)
    assert (request.masked_content, request.denoising_strength) == ("latent noise", 0.6)
    assert img2img(api, infotext=text, mask_blur=3).mask_blur_x == 3


def test_scripts_that_are_fields_here(api):
    args = {"Soft Inpainting": {"args": [True, 2, 0.25, 3, 0, 0.5, 2]}}
    request = img2img(api, alwayson_scripts=args)
    assert (request.soft_inpainting, request.soft_power, request.soft_scale, request.soft_detail) == (True, 2, 0.25, 3)
    assert img2img(api, alwayson_scripts={"soft inpainting": {}}) == img2img(api)
    refined = txt2img(api, alwayson_scripts={"Refiner": {"args": [True, "tiny", 0.6]}})
    assert (refined.refiner_model, refined.refiner_switch_at) == ("tiny", 0.6)
    assert txt2img(api, alwayson_scripts={"refiner": {"args": [False, "tiny", 0.6]}}).refiner_model == ""
    assert txt2img(api, alwayson_scripts={"refiner": {"args": [True, None, 0.6]}}).refiner_model == ""


def test_our_own_fields(api):
    own = {"guidance": "CFG rescale", "guidance_rescale": "0.5", "cfg_end": 0.8, "ngms_all_steps": 1, "unipc_order": 2}
    request = txt2img(api, atelier=own)
    assert (request.guidance, request.guidance_rescale, request.cfg_end) == ("CFG rescale", 0.5, 0.8)
    assert (request.ngms_all_steps, request.unipc_order) == (True, 2)
    assert img2img(api, atelier={"outpaint": [8, 0, 16, 0]}).outpaint == (8, 0, 16, 0)


# Pictures ---------------------------------------------------------------------------------------------------------------


def test_pictures_become_ids(api):
    image, mask = picture("blue"), picture("white")
    asked = asked_in(Image2ImageBody(init_images=[f"data:image/png;base64,{image}"], mask=mask), api.studio)
    assert asked.request.inputs == (id_of(image), id_of(mask))
    assert asked.pictures == (base64.b64decode(image), base64.b64decode(mask))


def test_a_batch_of_pictures(api):
    images = [picture(colour) for colour in ("red", "green", "blue")]
    request = img2img(api, init_images=images, batch_size=8)
    assert (len(request.init_images), request.batch_size) == (3, 3)
    assert img2img(api, batch_size=4).batch_size == 4, "one picture for all"
    with pytest.raises(KnownFault, match="3 init images for a batch of 2"):
        img2img(api, init_images=images, batch_size=2)


@pytest.mark.parametrize(("name", "value"), [("resize_mode", 4), ("resize_mode", -1), ("inpainting_fill", 9)])
def test_numbers_that_mean_nothing(api, name, value):
    with pytest.raises(InvalidRequest) as refused:
        img2img(api, **{name: value})
    assert [one.field for one in refused.value.problems] == [name]


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("batch_count", "n_iter"),
        ("hr_steps", "hr_second_pass_steps"),
        ("masked_content", "inpainting_fill"),
        ("clip_skip", "override_settings"),
        ("vae", "override_settings"),
        ("model", "override_settings"),
        ("outpaint", "atelier"),
        ("init_images", "init_images"),
        ("rho", "override_settings"),
        ("cfg_end", "atelier"),
        ("unknown", "unknown"),
    ],
)
def test_complaints_use_the_apis_names(field, name):
    assert their_name(field) == name
