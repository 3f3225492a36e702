"""From a prompt to latents, all parts together, against diffusers' own pipeline with the same small networks."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from modules.diffusion.conditioning import read
from modules.diffusion.denoiser import denoiser_for
from modules.diffusion.guided import Conditions, Guided, Rules, Text, Weighted
from modules.diffusion.noise import Noise
from modules.diffusion.sample import SamplingPlan, sigmas_for, text_to_image
from modules.prompts.chunks import chunks
from modules.prompts.tokens import Tokenizer

TOKENIZER = Path(__file__).parents[2] / "modules" / "families" / "assets" / "clip_tokenizer"
PROMPT, NEGATIVE = "a red cat wearing an astronaut helmet, in space", "blurry"


@pytest.fixture(scope="module")
def pipeline():
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=8,
    )
    text = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=49406,
        eos_token_id=49407,
    )
    return StableDiffusionPipeline(
        unet=unet.eval(),
        text_encoder=CLIPTextModel(text).eval(),
        tokenizer=CLIPTokenizer.from_pretrained(TOKENIZER),
        vae=AutoencoderKL(block_out_channels=(32,), norm_num_groups=8, latent_channels=4),
        scheduler=DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def ours(pipeline, samplers, schedules, guidance, table, *, steps, scale, seeds):
    tokenizer = Tokenizer(TOKENIZER)
    cond, uncond = (
        ((steps, Text(read([chunks(prompt, tokenizer)], pipeline.text_encoder)[0][0])),)
        for prompt in (PROMPT, NEGATIVE)
    )
    conditions = Conditions(positive=[(Weighted(cond),)] * len(seeds), negative=[uncond] * len(seeds))
    rules = Rules(guidance=guidance["CFG"], scale=scale)
    denoiser = denoiser_for("epsilon", lambda x, t, text, *more: pipeline.unet(x, t, text, return_dict=False)[0], table)
    sampler = samplers["DDIM"]
    return text_to_image(
        SamplingPlan(
            denoise=Guided(denoiser, conditions, rules, steps),
            sampler=sampler,
            sigmas=sigmas_for(sampler, "Automatic", schedules, steps, table),
            noise=Noise(seeds, (4, 8, 8)),
            on_step=lambda step, x, denoised: None,
        )
    )


@pytest.mark.parametrize("scale", [1.0, 7.5])
def test_the_same_latents_as_diffusers(pipeline, samplers, schedules, guidance, table, scale):
    pipeline.set_progress_bar_config(disable=True)
    seeds = [3, 4]
    expected = pipeline(
        [PROMPT] * 2,
        negative_prompt=[NEGATIVE] * 2,
        num_inference_steps=10,
        guidance_scale=scale,
        latents=Noise(seeds, (4, 8, 8))(),
        output_type="latent",
    ).images
    found = ours(pipeline, samplers, schedules, guidance, table, steps=10, scale=scale, seeds=seeds)
    assert torch.allclose(found, expected, atol=2e-3 * expected.abs().max().item())


def test_picture_i_of_a_batch_is_the_single_picture_of_its_seed(pipeline, samplers, schedules, guidance, table):
    options = {"steps": 5, "scale": 5.0}
    batch = ours(pipeline, samplers, schedules, guidance, table, seeds=[7, 8, 9], **options)
    single = [ours(pipeline, samplers, schedules, guidance, table, seeds=[seed], **options) for seed in (7, 8, 9)]
    assert torch.allclose(batch, torch.cat(single), atol=1e-4)
