"""Latents from a prompt, all parts together, against the pipelines of diffusers with the same networks and noise."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from torch import Tensor
from transformers import CLIPTokenizer

from modules.core.extension_points import Sampler
from modules.diffusion.denoiser import denoiser_for
from modules.diffusion.guidance.cfg import register_guidance
from modules.diffusion.guided import Conditions, Guided, Rules, Weighted
from modules.diffusion.noise import Noise
from modules.diffusion.sample import SamplingPlan, text_to_image
from modules.diffusion.samplers.ddim import register_samplers
from modules.families.built import TOKENIZER, BuildOptions, Built
from modules.prompts.chunks import chunks
from modules.prompts.tokens import Tokenizer

PROMPT, NEGATIVE, STEPS, SEED = "a red cat wearing an astronaut helmet, in space", "blurry", 10, 3


@pytest.fixture(scope="module")
def build(small_of: Callable[[str], Path], family_for: Callable[[Path], Any]) -> Callable[[str], Built]:
    return lambda family: family_for(small_of(family)).build(small_of(family), BuildOptions(half=False))


def pipeline_of(built: Built, kind: Any) -> Any:
    words, zeros = CLIPTokenizer.from_pretrained(TOKENIZER), CLIPTokenizer.from_pretrained(TOKENIZER, pad_token="!")
    parts: dict[str, Any] = {
        "unet": built.unet,
        "vae": built.vae,
        "text_encoder": built.text_encoder,
        "tokenizer": zeros if built.towers[0].reading.zero_padding else words,
        "scheduler": DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
            prediction_type=built.prediction,
        ),
    }
    if built.text_encoder_2 is not None:
        parts |= {"text_encoder_2": built.text_encoder_2, "tokenizer_2": zeros, "add_watermarker": False}
    else:
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipeline = kind(**parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def noise() -> Tensor:
    return Noise([SEED], (4, 8, 8))()


def ours(built: Built, *, negative: str = NEGATIVE, scale: float = 5.0, **further: Any) -> Tensor:
    """DDIM through our own denoiser and guidance. further: concat or image of `Conditions`, image_scale of `Rules`."""
    tokenizer = Tokenizer(TOKENIZER)
    texts = [
        built.text_of(built.encode([chunks(text, tokenizer)])[0], width=64, height=64, negative=unwanted)
        for text, unwanted in ((PROMPT, False), (negative, True))
    ]
    image_scale = further.pop("image_scale", 1.5)
    wanted, unwanted = ((((STEPS, text),)) for text in texts)
    conditions = Conditions(positive=[(Weighted(wanted),)], negative=[unwanted], **further)
    rules = Rules(guidance=register_guidance()[0], scale=scale, image_scale=image_scale)
    sampler: Sampler = register_samplers()[0]
    assert sampler.levels is not None
    denoiser = denoiser_for(built.prediction, built.predict, built.sigmas, built.dtype)
    plan = SamplingPlan(
        denoise=Guided(denoiser, conditions, rules, STEPS),
        sampler=sampler,
        sigmas=sampler.levels(STEPS, built.sigmas),
        noise=Noise([SEED], (4, 8, 8)),
        on_step=lambda step, x, denoised: None,
    )
    return text_to_image(plan)


def theirs(pipeline: Any, *, negative: str | None = NEGATIVE, scale: float = 5.0, **further: Any) -> Tensor:
    asked: Mapping[str, Any] = {"prompt": PROMPT, "negative_prompt": negative, "num_inference_steps": STEPS} | further
    return pipeline(**asked, guidance_scale=scale, latents=noise(), output_type="latent").images


def near(found: Tensor, expected: Tensor) -> None:
    assert (found - expected).abs().max() < 3e-3 * expected.abs().max()


@pytest.mark.parametrize("family", ["sd1", "sd2", "sd2-v"])
def test_stable_diffusion_1_and_2(family: str, build: Callable[[str], Built]) -> None:
    built = build(family)
    pipeline = pipeline_of(built, StableDiffusionPipeline)
    if family == "sd1":
        near(ours(built), theirs(pipeline))
        return
    # diffusers takes the last layer of an encoder that is one layer shorter; the last but one is asked for here
    texts = [pipeline.encode_prompt(text, "cpu", 1, False, clip_skip=1)[0] for text in (PROMPT, NEGATIVE)]
    found = pipeline(
        prompt_embeds=texts[0],
        negative_prompt_embeds=texts[1],
        num_inference_steps=STEPS,
        guidance_scale=5.0,
        latents=noise(),
        output_type="latent",
    ).images
    near(ours(built), found)


@pytest.mark.parametrize("negative", ["", NEGATIVE])
def test_stable_diffusion_xl(negative: str, build: Callable[[str], Built]) -> None:
    built = build("sdxl")
    pipeline = pipeline_of(built, StableDiffusionXLPipeline)
    near(ours(built, negative=negative), theirs(pipeline, negative=negative or None, width=64, height=64))


def test_velocity_is_not_noise(build: Callable[[str], Built]) -> None:
    """The comparison above would not be worth much if the kind of prediction did not matter."""
    built = build("sd2-v")
    right = ours(built)
    built.prediction = "epsilon"
    assert (ours(built) - right).abs().max() > 0.1 * right.abs().max()


def test_inpainting(build: Callable[[str], Built]) -> None:
    built, pixels = build("sd1-inpaint"), torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 8:40] = 1
    hidden = built.encode_picture(pixels * (1 - mask))
    found = ours(built, concat=torch.cat([mask[..., ::8, ::8], hidden], dim=1))
    pipeline = pipeline_of(built, StableDiffusionInpaintPipeline)
    more = {"image": pixels / 2 + 0.5, "mask_image": mask, "masked_image_latents": hidden, "strength": 1.0}
    near(found, theirs(pipeline, **more, width=64, height=64))


def test_editing_by_instruction(build: Callable[[str], Built]) -> None:
    built, pixels = build("sd1-edit"), torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = ours(built, image=built.edit_latents(pixels), image_scale=1.7)
    pipeline = pipeline_of(built, StableDiffusionInstructPix2PixPipeline)
    near(found, theirs(pipeline, image=pixels / 2 + 0.5, image_guidance_scale=1.7))
