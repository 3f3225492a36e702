"""What is written into a picture: everything that had an effect, nothing that had none."""

from typing import Any

import pytest

from modules.core.requests import EditRequest, FileRecord, ImageRequest, ModelRecord
from modules.engine.infotexts import Facts, brief, pairs_of, seed_of, used_files
from modules.prompts.infotext import parse_infotext, write_infotext

RECORD = ModelRecord(name="m", path="/models/v1.5.safetensors", title="v1.5", size=1, modified=1, sha256="ab" * 32)
LORA = FileRecord(kind="lora", name="fur", alias="Fur: v2, x", path="/l", size=1, modified=1, short_hash="0123456789ab")
STYLE = FileRecord(kind="embedding", name="my-style", path="/e", size=1, modified=1, short_hash="c74b4e810b03")


def facts(**known: Any) -> Facts:
    usual: dict[str, Any] = {"sampler": "Euler", "schedule": "Automatic", "ensd_counts": False, "takes": frozenset()}
    return Facts(record=RECORD, **(usual | known))


def written(request: ImageRequest, known: Facts | None = None, index: int = 0) -> dict[str, Any]:
    """Read back by our own reader."""
    pairs = pairs_of(request, known or facts(), index)
    return parse_infotext(write_infotext(request.prompt_of(index), request.negative_of(index), pairs))


def test_a_plain_request() -> None:
    pairs = {key: value for key, value in pairs_of(ImageRequest(seed=5), facts(), 2).items() if value is not None}
    assert pairs == {
        "Steps": 20, "Sampler": "Euler", "Schedule type": "Automatic", "CFG scale": 7, "Seed": 7, "Size": "512x512",
        "Model hash": "ab" * 5, "Model": "v1.5", "RNG": "CPU", "Version": "Atelier-0.1.0",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "known", "expected"),
    [
        (ImageRequest(subseed=3, subseed_strength=0.5, seed=5), {}, {"Variation seed": "4", "Variation seed strength": "0.5", "Seed": "5"}),
        (ImageRequest(seed_resize_from_w=512, seed_resize_from_h=768), {}, {"Seed resize from-1": "512", "Seed resize from-2": "768"}),
        (ImageRequest(ensd=31337), {"ensd_counts": True}, {"ENSD": "31337"}),
        (ImageRequest(s_churn=10, rho=5), {"takes": frozenset({"s_churn", "rho"})}, {"Sigma churn": "10", "Schedule rho": "5"}),
        (ImageRequest(eta=0.67), {"takes": frozenset({"eta"})}, {"Eta": "0.67"}),
        (ImageRequest(discard_penultimate=True, sgm_noise=True), {}, {"Discard penultimate sigma": "True", "SGM noise multiplier": "True"}),
        (ImageRequest(s_min_uncond=1.5, ngms_all_steps=True), {}, {"NGMS": "1.5", "NGMS all steps": "True"}),
        (ImageRequest(skip_early_cond=0.1, pad_conds=True, tiling=True), {}, {"Skip Early CFG": "0.1", "Pad conds": "True", "Tiling": "True"}),
        (ImageRequest(prompt="(a)", emphasis="No norm"), {}, {"Emphasis": "No norm"}),
        (ImageRequest(prompt="[a:b:2]", old_editing=True), {}, {"Old prompt editing timelines": "True"}),
        (ImageRequest(fp8="Enable", clip_skip=2), {}, {"FP8 weight": "Enable", "Clip skip": "2"}),
        (ImageRequest(noise_source="NV", noise_schedule="Zero Terminal SNR"), {}, {"RNG": "NV", "Noise Schedule": "Zero Terminal SNR"}),
        (ImageRequest(guidance="CFG rescale"), {}, {"Guidance": "CFG rescale", "Guidance rescale": "0.7"}),
        (ImageRequest(), {"networks": [LORA], "embeddings": [STYLE]}, {"Lora hashes": "Fur v2 x: 0123456789ab", "TI hashes": "my-style: c74b4e810b03"}),
        (ImageRequest(refiner_model="r"), {"refiner": RECORD}, {"Refiner": "v1.5 [ababababab]", "Refiner switch at": "0.8"}),
        (ImageRequest(enable_hr=True, hr_resize_x=1024), {"hires_sampler": "DDIM"}, {"Hires resize-1": "1024", "Hires resize-2": "0", "Hires sampler": "DDIM", "Denoising strength": "0.7"}),
        (EditRequest(mask_mode="Inpaint not masked"), {"masked": True}, {"Mask mode": "Inpaint not masked", "Mask blur": "4"}),
        (EditRequest(soft_inpainting=True), {"masked": True}, {"Soft inpainting enabled": "True", "Soft inpainting preservation strength": "0.5"}),
        (EditRequest(image_cfg_scale=2), {"edits_by_instruction": True}, {"Image CFG scale": "2"}),
    ],
)  # fmt: skip
def test_what_had_an_effect_is_written(request_: ImageRequest, known: dict[str, Any], expected: dict[str, str]) -> None:
    found = written(request_, facts(**known), 1)
    assert {key: found.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("request_", "absent"),
    [
        (ImageRequest(subseed=3), "Variation seed"),
        (ImageRequest(seed_resize_from_w=512), "Seed resize from-1"),
        (ImageRequest(ensd=31337), "ENSD"),
        (ImageRequest(eta=0.5, s_churn=3), "Eta"),
        (ImageRequest(s_churn=3), "Sigma churn"),
        (ImageRequest(hr_scale=3, hr_upscaler="Lanczos"), "Hires upscaler"),
        (ImageRequest(prompt="a", emphasis="Ignore"), "Emphasis"),
        (ImageRequest(noise_source="GPU"), "RNG: GPU"),
        (EditRequest(), "Mask blur"),
        (EditRequest(inpaint_padding=64), "Masked area padding: 64"),
        (ImageRequest(ngms_all_steps=True), "NGMS all steps"),
    ],
)
def test_what_had_none_is_not(request_: ImageRequest, absent: str) -> None:
    text = write_infotext("", "", pairs_of(request_, facts(), 0))
    assert absent not in text


def test_seeds_of_pictures() -> None:
    assert [seed_of(ImageRequest(seed=5), index) for index in range(3)] == [5, 6, 7]
    assert [seed_of(ImageRequest(seed=5, subseed_strength=0.1), index) for index in range(3)] == [5, 5, 5]


def test_files_that_prompts_name() -> None:
    files = (LORA, STYLE)
    assert used_files(ImageRequest(prompt="<lora:fur:1> in My Style"), files) == ([LORA], [STYLE])
    assert used_files(ImageRequest(prompt="<lora:fur:1>", disable_extra_networks=True), files) == ([], [])
    assert used_files(ImageRequest(prompt="fur", negative_prompt="my-style"), files) == ([], [STYLE])
    assert used_files(ImageRequest(prompt="x", prompts=("<lora:fur>",)), files)[0] == [LORA]


def test_numbers_as_people_type_them() -> None:
    assert [brief(7.0), brief(7.5), brief(-1.0)] == [7, 7.5, -1]
