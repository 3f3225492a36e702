"""A request, written into a picture as the engine does and read back, asks for the same picture again."""

from dataclasses import fields, replace

import pytest

from modules.core.requests import EditRequest, FileRecord, ImageRequest, ModelRecord
from modules.core.sampling_fields import HIGHEST_SEED
from modules.engine.infotexts import Facts, pairs_of
from modules.prompts.infotext import parse_infotext, write_infotext
from modules.prompts.pasted import values_of

MODEL = ModelRecord(
    name="some model", path="/models/some model.safetensors", title="some model", size=1, modified=1, sha256="ab" * 32
)
VAE = FileRecord(kind="vae", name="vae-ft", path="/models/vae-ft.pt", size=1, modified=1, short_hash="0123456789")
TAKEN = frozenset(
    (
        "eta",
        "s_churn",
        "s_tmin",
        "s_tmax",
        "s_noise",
        "sigma_min",
        "sigma_max",
        "rho",
        "beta_alpha",
        "beta_beta",
        "unipc_order",
    )
)
BASE = ImageRequest(
    prompt="a (red:1.2) cat, [b:c:0.5]\non a mat", negative_prompt="bad: worse", seed=5, model="some model"
)
EDIT = EditRequest(prompt="a cat", seed=5, model="some model", init_images=("x",))

CHANGES = {
    "nothing": (BASE, {}),
    "no negative": (BASE, {"negative_prompt": ""}),
    "no prompt": (BASE, {"prompt": ""}),
    "sampling": (BASE, {"steps": 33, "sampler": "DPM++ 2M", "schedule": "Karras", "cfg_scale": 6.5}),
    "options": (BASE, {"eta": 0.5, "s_churn": 1.5, "s_tmin": 0.1, "s_tmax": 9.0, "s_noise": 1.01}),
    "levels": (
        BASE,
        {
            "sigma_min": 0.05,
            "sigma_max": 12.5,
            "rho": 5.0,
            "beta_alpha": 0.7,
            "beta_beta": 0.5,
            "discard_penultimate": True,
            "sgm_noise": True,
        },
    ),
    "guidance": (
        BASE,
        {"cfg_start": 0.1, "cfg_end": 0.9, "skip_early_cond": 0.2, "s_min_uncond": 1.5, "ngms_all_steps": True},
    ),
    "rescale": (BASE, {"guidance": "CFG rescale", "guidance_rescale": 0.7}),
    "threshold": (BASE, {"guidance": "Dynamic thresholding", "threshold_percentile": 0.99}),
    "seed": (BASE, {"seed": HIGHEST_SEED}),
    "variation": (BASE, {"subseed": 77, "subseed_strength": 0.35}),
    "seed resize": (BASE, {"seed_resize_from_w": 512, "seed_resize_from_h": 768}),
    "ensd": (BASE, {"ensd": 31337, "eta": 0.7}),
    "noise": (BASE, {"noise_source": "NV"}),
    "device noise": (BASE, {"noise_source": "GPU"}),
    "text": (BASE, {"clip_skip": 2, "emphasis": "No norm", "old_editing": True, "pad_conds": True}),
    "template": (BASE, {"template": "a {red|blue}, cat: x\n__y__", "negative_template": "{bad|worse}"}),
    "model": (BASE, {"fp8": "Enable", "tiling": True, "token_merging_ratio": 0.4}),
    "second pass": (
        BASE,
        {
            "enable_hr": True,
            "hr_scale": 1.5,
            "hr_steps": 7,
            "hr_upscaler": "Latent (bicubic)",
            "denoising_strength": 0.55,
        },
    ),
    "second size": (BASE, {"enable_hr": True, "hr_resize_x": 1024, "hr_resize_y": 0, "token_merging_ratio_hr": 0.2}),
    "second texts": (BASE, {"enable_hr": True, "hr_prompt": 'a "huge"\ncat: yes', "hr_negative_prompt": "ugly, x"}),
    "edit": (EDIT, {"denoising_strength": 0.3, "initial_noise_multiplier": 0.95, "extra_noise": 0.1}),
    "outpaint": (EDIT, {"outpaint": (8, 0, 16, 0)}),
    "mask": (
        EDIT,
        {"mask": "m", "mask_mode": "Inpaint not masked", "mask_blur_x": 9, "mask_blur_y": 9, "masked_content": "fill"},
    ),
    "masked area": (EDIT, {"mask": "m", "inpaint_area": "Only masked", "inpaint_padding": 48}),
    "soft": (EDIT, {"mask": "m", "soft_inpainting": True, "soft_power": 1.5, "soft_scale": 0.75, "soft_detail": 8.0}),
}
NOT_WRITTEN = {"resize_mode"}  # how the first picture was brought to size is no part of the field's texts


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_written_asks_for_the_same_again(name):
    base, changes = CHANGES[name]
    request = replace(base, **changes)
    facts = Facts(
        sampler=request.sampler,
        schedule=request.schedule,
        ensd_counts=True,
        takes=TAKEN,
        record=MODEL,
        masked=bool(getattr(request, "mask", "")),
    )
    text = write_infotext(request.prompt, request.negative_prompt, pairs_of(request, facts, 0))
    found = replace(base, **values_of(parse_infotext(text), type(base)))
    if isinstance(base, EditRequest):
        found = replace(found, mask=request.mask, init_images=request.init_images)
    differing = {one.name for one in fields(base) if getattr(found, one.name) != getattr(request, one.name)}
    assert differing <= NOT_WRITTEN, text


def test_names_of_files_are_read():
    request = replace(BASE, enable_hr=True)
    facts = Facts(
        sampler="Euler",
        schedule="Karras",
        ensd_counts=False,
        takes=frozenset(),
        record=MODEL,
        vae=VAE,
        refiner=replace(MODEL, path="/models/refiner.safetensors"),
        hires_model=replace(MODEL, path="/models/second.safetensors"),
        hires_sampler="Heun",
        hires_schedule="Normal",
    )
    found = values_of(parse_infotext(write_infotext("a", "", pairs_of(request, facts, 0))), ImageRequest)
    assert (found["model"], found["vae"], found["hr_model"]) == ("some model", "vae-ft.pt", "second")
    assert (found["sampler"], found["schedule"], found["hr_sampler"], found["hr_schedule"]) == (
        "Euler",
        "Karras",
        "Heun",
        "Normal",
    )
    assert found["refiner_model"].startswith("refiner")
