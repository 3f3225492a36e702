import math

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr
from hypothesis import given
from hypothesis import strategies as st

from modules.core.errors import UnknownName
from modules.diffusion.denoiser import (
    EpsilonDenoiser,
    Inputs,
    VelocityDenoiser,
    denoiser_for,
    sigma_at,
    sigma_table,
    timestep_at,
    zero_terminal_snr,
)
from modules.diffusion.noise import Noise
from modules.diffusion.sample import SamplingPlan, sigmas_for, text_to_image

TABLE = sigma_table()
SILENCE = Inputs(torch.zeros(1, 1, 1))


def test_the_levels_of_stable_diffusion():
    assert len(TABLE) == 1000
    assert TABLE[0] == pytest.approx(0.0291675, abs=1e-7)
    assert TABLE[-1] == pytest.approx(14.614643, rel=1e-6)
    assert list(TABLE) == sorted(TABLE)


def test_the_levels_agree_with_diffusers():
    other = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").alphas_cumprod
    assert list(sigma_table()) == pytest.approx((((1 - other) / other) ** 0.5).tolist(), rel=1e-4)


@pytest.mark.parametrize("timestep", range(0, 1000, 37))
def test_a_training_level_has_a_whole_timestep(timestep):
    assert timestep_at(TABLE[timestep], TABLE) == timestep
    assert sigma_at(timestep, TABLE) == TABLE[timestep]


@given(st.floats(0, 999))
def test_timestep_and_level_are_inverse(timestep):
    assert timestep_at(sigma_at(timestep, TABLE), TABLE) == pytest.approx(timestep, abs=1e-6)


def test_between_two_levels_the_logarithm_is_linear():
    middle = sigma_at(500.5, TABLE)
    assert middle == pytest.approx(math.sqrt(TABLE[500] * TABLE[501]))


def test_beyond_the_ends_is_the_end():
    assert timestep_at(0.001, TABLE) == 0
    assert timestep_at(100.0, TABLE) == 999
    assert sigma_at(-3, TABLE) == TABLE[0]
    assert sigma_at(2000, TABLE) == TABLE[-1]


@pytest.mark.parametrize("timestep", [0, 300, 999])
def test_a_network_that_knows_the_noise_finds_the_clean_latents(timestep):
    clean, eps = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(1)).unbind(0)
    sigma = TABLE[timestep]

    def network(x, t, *texts):
        assert t.tolist() == [timestep]
        assert torch.allclose(x, (clean + sigma * eps) / math.sqrt(1 + sigma**2))
        return eps

    found = EpsilonDenoiser(network, TABLE)(clean + sigma * eps, sigma, SILENCE)
    assert torch.allclose(found, clean, atol=1e-5)


def test_only_the_network_computes_in_half_precision(wavy):
    network, _ = wavy
    denoiser = EpsilonDenoiser(lambda x, t, *texts: network(x, t, *texts).to(x.dtype), TABLE, torch.bfloat16)
    found = denoiser(torch.ones(1, 4, 2, 2), 1.0, SILENCE)
    assert network.calls[0][3] == torch.bfloat16
    assert found.dtype == torch.float32


@pytest.mark.parametrize("timestep", [0, 300, 999])
def test_a_network_that_knows_the_velocity_finds_the_clean_latents(timestep):
    clean, eps = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(1)).unbind(0)
    sigma = TABLE[timestep]
    alpha = 1 / math.sqrt(1 + sigma**2)

    def network(x, t, *texts):
        assert t.tolist() == [timestep]
        assert torch.allclose(x, alpha * (clean + sigma * eps), atol=1e-6)
        return alpha * eps - alpha * sigma * clean

    found = VelocityDenoiser(network, TABLE)(clean + sigma * eps, sigma, SILENCE)
    assert torch.allclose(found, clean, atol=1e-5)


@pytest.mark.parametrize("timestep", [0, 500, 999])
def test_velocity_agrees_with_diffusers(wavy, timestep):
    network = wavy[0]
    other = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction"
    )
    other.set_timesteps(1000)
    sample = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    output = network(sample, torch.tensor([float(timestep)]), SILENCE.text)
    options = {"eta": 0.0, "use_clipped_model_output": False}
    other.config.clip_sample = False
    expected = other.step(output, timestep, sample, **options).pred_original_sample
    sigma = TABLE[timestep]
    found = VelocityDenoiser(network, TABLE)(sample * math.sqrt(1 + sigma**2), sigma, SILENCE)
    assert torch.allclose(found, expected, atol=2e-3)


def test_a_denoiser_is_found_by_what_the_network_predicts(wavy):
    assert type(denoiser_for("epsilon", wavy[0], TABLE)) is EpsilonDenoiser
    assert type(denoiser_for("v_prediction", wavy[0], TABLE)) is VelocityDenoiser
    with pytest.raises(UnknownName, match="sample"):
        denoiser_for("sample", wavy[0], TABLE)


@pytest.mark.parametrize("given_", [{}, {"vector": torch.ones(2, 3)}, {"concat": torch.ones(2, 5, 2, 2)}])
def test_the_network_gets_what_there_is(given_):
    got = []

    def network(x, timestep, text, vector=None, concat=None):
        got.append((text, vector, concat))
        return x

    text = torch.ones(2, 7, 3)
    EpsilonDenoiser(network, TABLE)(torch.ones(2, 4, 2, 2), 1.0, Inputs(text, **given_))
    assert got[0][0] is text
    assert got[0][1] is given_.get("vector")
    assert got[0][2] is given_.get("concat")


# Zero terminal SNR -------------------------------------------------------------------------------------------------


def test_the_last_level_becomes_pure_noise():
    found = zero_terminal_snr(TABLE)
    assert found[0] == pytest.approx(TABLE[0])
    assert found[-1] == pytest.approx(4518.757, rel=1e-5)
    assert list(found) == sorted(found)
    assert all(new >= old * (1 - 1e-9) for new, old in zip(found, TABLE, strict=True))


def test_the_rescaled_levels_agree_with_diffusers():
    other = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    alphas = torch.cumprod(1 - rescale_zero_terminal_snr(other.betas), dim=0)
    expected = (((1 - alphas) / alphas) ** 0.5).tolist()
    assert list(zero_terminal_snr(TABLE))[:-1] == pytest.approx(expected[:-1], rel=2e-3)


@pytest.mark.parametrize("name", ["Euler", "DPM++ 2M", "DDIM", "UniPC", "DPM++ 2M SDE"])
def test_samplers_begin_at_pure_noise(samplers, schedules, name):
    """A velocity network that knows the answer, at all levels including the last."""
    table, clean = zero_terminal_snr(TABLE), torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))

    def network(x, timestep, *texts):
        sigma = sigma_at(timestep.item(), table)
        alpha = 1 / math.sqrt(1 + sigma**2)
        eps = (x / alpha - clean) / sigma
        return alpha * eps - alpha * sigma * clean

    denoiser = VelocityDenoiser(network, table)
    sampler = samplers[name]
    plan = SamplingPlan(
        denoise=lambda x, sigma: denoiser(x, sigma, SILENCE),
        sampler=sampler,
        sigmas=sigmas_for(sampler, "Automatic", schedules, 10, table),
        noise=Noise([1], (4, 8, 8)),
        on_step=lambda step, x, denoised: None,
    )
    assert torch.allclose(text_to_image(plan), clean, atol=0.1)


# A real network ----------------------------------------------------------------------------------------------------


def test_a_real_unet():
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=8,
    ).eval()
    latents, text = torch.randn(2, 4, 8, 8), torch.randn(2, 77, 8)
    denoiser = EpsilonDenoiser(lambda x, t, text, *more: unet(x, t, text, return_dict=False)[0], TABLE)
    with torch.inference_mode():
        found = denoiser(latents, TABLE[600], Inputs(text))
        eps = unet(latents / (1 + TABLE[600] ** 2) ** 0.5, 600, text).sample
    assert torch.allclose(found, latents - TABLE[600] * eps, atol=1e-4)
