import math

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from hypothesis import given
from hypothesis import strategies as st

from modules.diffusion.denoiser import EpsilonDenoiser, guided, sigma_at, sigma_table, timestep_at
from modules.diffusion.guidance.cfg import cfg

TABLE = sigma_table()


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

    def network(x, t, conditioning):
        assert t.tolist() == [timestep]
        assert torch.allclose(x, (clean + sigma * eps) / math.sqrt(1 + sigma**2))
        return eps

    found = EpsilonDenoiser(network, TABLE)(clean + sigma * eps, sigma, torch.zeros(1, 1, 1))
    assert torch.allclose(found, clean, atol=1e-5)


def test_only_the_network_computes_in_half_precision(wavy):
    network, _ = wavy
    denoiser = EpsilonDenoiser(lambda x, t, c: network(x, t, c).to(x.dtype), TABLE, torch.bfloat16)
    found = denoiser(torch.ones(1, 4, 2, 2), 1.0, torch.zeros(1, 1, 1))
    assert network.calls[0][3] == torch.bfloat16
    assert found.dtype == torch.float32


# Guidance -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def latents():
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def texts():
    return torch.randn(2, 2, 77, 8, generator=torch.Generator().manual_seed(4)).unbind(0)


def test_guidance_goes_from_uncond_through_cond(wavy, latents, texts):
    denoiser = EpsilonDenoiser(wavy[0], TABLE)
    cond, uncond = (denoiser(latents, 2.0, text) for text in texts)
    found = guided(denoiser, *texts, 7.0, cfg)(latents, 2.0)
    assert torch.allclose(found, uncond + 7.0 * (cond - uncond), atol=1e-5)


def test_both_texts_go_through_the_network_at_once(wavy, latents, texts):
    network = wavy[0]
    guided(EpsilonDenoiser(network, TABLE), *texts, 7.0, cfg)(latents, 2.0)
    assert [(shape, text) for shape, _, text, _ in network.calls] == [((4, 4, 8, 8), (4, 77, 8))]


def test_texts_of_different_lengths_go_one_after_the_other(wavy, latents, texts):
    network, (cond, uncond) = wavy[0], texts
    longer = torch.cat([cond, cond], dim=1)
    found = guided(EpsilonDenoiser(network, TABLE), longer, uncond, 7.0, cfg)(latents, 2.0)
    assert [text for _, _, text, _ in network.calls] == [(2, 154, 8), (2, 77, 8)]
    same_length = guided(EpsilonDenoiser(network, TABLE), cond, uncond, 7.0, cfg)(latents, 2.0)
    assert torch.allclose(found, same_length, atol=1e-5)  # this network only looks at the mean of the text


@pytest.mark.parametrize("with_uncond", [True, False])
def test_scale_1_needs_no_uncond(wavy, latents, texts, with_uncond):
    network, (cond, uncond) = wavy[0], texts
    denoise = guided(EpsilonDenoiser(network, TABLE), cond, uncond if with_uncond else None, 1.0, cfg)
    assert torch.equal(denoise(latents, 2.0), EpsilonDenoiser(network, TABLE)(latents, 2.0, cond))
    assert network.calls[0][0] == (2, 4, 8, 8)


def test_a_real_unet(latents):
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
    texts = torch.randn(2, 2, 77, 8).unbind(0)
    denoiser = EpsilonDenoiser(lambda x, t, text: unet(x, t, text, return_dict=False)[0], TABLE)
    with torch.inference_mode():
        found = guided(denoiser, *texts, 5.0, cfg)(latents, TABLE[600])
        scaled = latents / (1 + TABLE[600] ** 2) ** 0.5
        cond, uncond = (unet(scaled, 600, text).sample for text in texts)
    eps = uncond + 5.0 * (cond - uncond)
    assert torch.allclose(found, latents - TABLE[600] * eps, atol=1e-4)
