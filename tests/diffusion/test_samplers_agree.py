"""Samplers against diffusers' schedulers, where those have the same algorithm: same network, same levels, same noise."""

import math

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)
from sampling import SD, SHAPE, ignore, sample

from modules.diffusion.denoiser import timestep_at
from modules.diffusion.noise import Noise
from modules.diffusion.sample import SamplingPlan, text_to_image


def answer(network, x, sigma, table):
    """What the network says at a level; timesteps between two training levels are ours, theirs are rounded."""
    timestep = torch.full((x.shape[0],), timestep_at(float(sigma), table))
    return network(x, timestep, torch.zeros(x.shape[0], 1, 1))


def run_diffusers(scheduler, network, x, table, levels=None, **options):
    """Their loop with our network."""
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas if levels is None else levels, strict=False):
        eps = answer(network, scheduler.scale_model_input(x, t), sigma, table)
        x = scheduler.step(eps, t, x, **options).prev_sample
    return x


def assert_close(found, expected, relative=1e-5):
    assert (found - expected).abs().max() <= relative * expected.abs().max() + 2e-4


@pytest.mark.parametrize("steps", [1, 4, 20])
@pytest.mark.parametrize("karras", [False, True])
def test_euler(samplers, wavy, table, steps, karras):
    network, denoise = wavy
    other = EulerDiscreteScheduler(**SD, use_karras_sigmas=karras)
    other.set_timesteps(steps)
    x = Noise([5, 6], SHAPE)() * other.sigmas[0]
    expected = run_diffusers(other, network, x, table)
    assert_close(sample(samplers["Euler"], denoise, x, other.sigmas.tolist()), expected)


def test_euler_with_churn(samplers, wavy, table):
    """Their noise goes in before the network is asked at the lower level, which is what k-diffusion calls churn."""
    network, denoise = wavy
    other = EulerDiscreteScheduler(**SD)
    other.set_timesteps(12)
    noise, generator = Noise([5], SHAPE), torch.Generator().manual_seed(5)
    x = start = noise() * other.sigmas[0]
    torch.randn((1, *SHAPE), generator=generator)
    for t, sigma in zip(other.timesteps, other.sigmas, strict=False):
        raised = sigma * (1 + 2.0 / 12)
        eps = torch.randn((1, *SHAPE), generator=generator)
        x = x + eps * (raised**2 - sigma**2) ** 0.5
        slope = answer(network, x / (raised**2 + 1) ** 0.5, raised, table)
        x = x + slope * (other.sigmas[other.index_for_timestep(t) + 1] - raised)
    found = sample(samplers["Euler"], denoise, start, other.sigmas.tolist(), noise=noise, s_churn=2.0)
    assert_close(found, x)


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [("Euler a", EulerAncestralDiscreteScheduler), ("DPM2 a", KDPM2AncestralDiscreteScheduler)],
)
def test_ancestral_samplers(samplers, wavy, table, name, scheduler):
    network, denoise = wavy
    other = scheduler(**SD)
    other.set_timesteps(12)
    noise, generator = Noise([5], SHAPE), torch.Generator().manual_seed(5)
    x = noise() * other.sigmas[0]
    torch.randn((1, *SHAPE), generator=generator)  # theirs is where ours is: after the starting noise
    levels, sigmas = other.sigmas, other.sigmas.tolist()
    if name == "DPM2 a":
        sigmas = [sigmas[0], *sigmas[1:-1:2]]
        levels = [one for pair in zip(sigmas[:-1], other.sigmas_interpol[0::2], strict=False) for one in pair]
    expected = run_diffusers(other, network, x, table, levels, generator=generator)
    assert_close(sample(samplers[name], denoise, x, sigmas, noise=noise), expected)


@pytest.mark.parametrize(("name", "scheduler"), [("Heun", HeunDiscreteScheduler), ("DPM2", KDPM2DiscreteScheduler)])
@pytest.mark.parametrize("steps", [2, 12])
def test_second_order_samplers(samplers, wavy, table, name, scheduler, steps):
    network, denoise = wavy
    other = scheduler(**SD)
    other.set_timesteps(steps)
    theirs = other.sigmas.tolist()
    sigmas = [theirs[0], *theirs[1:-1:2], *([0.0] if name == "Heun" else [])]
    levels = other.sigmas
    if name == "DPM2":
        levels = [one for pair in zip(sigmas[:-1], other.sigmas_interpol[1::2], strict=False) for one in pair]
    x = Noise([5, 6], SHAPE)() * sigmas[0]
    expected = run_diffusers(other, network, x, table, levels)
    assert_close(sample(samplers[name], denoise, x, sigmas), expected)


@pytest.mark.parametrize("steps", [2, 5, 20])
def test_dpmpp_2m(samplers, wavy, table, steps):
    network, denoise = wavy
    other = DPMSolverMultistepScheduler(**SD, use_karras_sigmas=True)
    other.set_timesteps(steps)
    sigmas = other.sigmas.tolist()
    x = Noise([5, 6], SHAPE)() * sigmas[0]
    expected = run_diffusers(other, network, x / math.sqrt(1 + sigmas[0] ** 2), table)
    assert_close(sample(samplers["DPM++ 2M"], denoise, x, sigmas), expected)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("DPM++ 2M SDE", {"solver_order": 2, "solver_type": "midpoint"}),
        ("DPM++ 2M SDE Heun", {"solver_order": 2, "solver_type": "heun"}),
    ],
)
def test_multistep_sde_samplers(samplers, wavy, table, name, options):
    network, denoise = wavy
    other = DPMSolverMultistepScheduler(
        **SD, algorithm_type="sde-dpmsolver++", use_karras_sigmas=True, lower_order_final=False, **options
    )
    other.set_timesteps(12)
    sigmas = other.sigmas.tolist()
    drawn = [Noise([seed], SHAPE)() for seed in range(13)]
    noises, again = iter(drawn), iter(drawn)
    x = Noise([5], SHAPE)() * sigmas[0]
    theirs = x / math.sqrt(1 + sigmas[0] ** 2)
    for t, sigma in zip(other.timesteps, sigmas, strict=False):
        eps = answer(network, theirs, sigma, table)
        theirs = other.step(eps, t, theirs, variance_noise=next(noises)).prev_sample
    found = sample(samplers[name], denoise, x, sigmas, brownian=lambda sigma, sigma_next: next(again))
    assert_close(found, theirs)


def test_dpmpp_3m_without_noise(samplers, wavy, table):
    """Their third-order step for the SDE has the curvature's sign turned; the one for the ODE has not."""
    network, denoise = wavy
    options = {"solver_order": 3, "solver_type": "heun", "lower_order_final": False}
    other = DPMSolverMultistepScheduler(**SD, use_karras_sigmas=True, final_sigmas_type="sigma_min", **options)
    other.set_timesteps(12)
    sigmas = other.sigmas.tolist()[:-1]
    x = Noise([5, 6], SHAPE)() * sigmas[0]
    theirs = x / math.sqrt(1 + sigmas[0] ** 2)
    for t, sigma in zip(other.timesteps[:-1], sigmas, strict=False):
        theirs = other.step(answer(network, theirs, sigma, table), t, theirs).prev_sample
    found = sample(samplers["DPM++ 3M SDE"], denoise, x, sigmas, eta=0.0)
    assert_close(found / math.sqrt(1 + sigmas[-1] ** 2), theirs)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("steps", [3, 10])
def test_unipc(samplers, wavy, table, steps, order):
    network, denoise = wavy
    other = UniPCMultistepScheduler(**SD, solver_order=order, solver_type="bh1", final_sigmas_type="sigma_min")
    other.set_timesteps(steps)
    sigmas = other.sigmas.tolist()
    x = Noise([5, 6], SHAPE)() * math.sqrt(1 + sigmas[0] ** 2)
    expected = run_diffusers(other, network, Noise([5, 6], SHAPE)(), table)
    found = sample(samplers["UniPC"], denoise, x, sigmas, unipc_order=order)
    assert_close(found / math.sqrt(1 + sigmas[-1] ** 2), expected)


def from_noise_to_latents(sampler, denoise, table, steps, **options):
    plan = SamplingPlan(
        denoise=denoise,
        sampler=sampler,
        sigmas=sampler.levels(steps, table),
        noise=Noise([5, 6], SHAPE),
        on_step=ignore,
        options=options,
    )
    return text_to_image(plan)


@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize("steps", [5, 20])
def test_ddim_from_noise_to_latents(samplers, wavy, table, steps, eta):
    network, denoise = wavy
    other = DDIMScheduler(**SD, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    other.set_timesteps(steps)
    theirs = Noise([5, 6], SHAPE)
    x = theirs()
    for t in other.timesteps:
        eps = network(x, torch.full((2,), float(t)), torch.zeros(2, 1, 1))
        x = other.step(eps, t, x, eta=eta, variance_noise=theirs() if eta else None).prev_sample
    assert_close(from_noise_to_latents(samplers["DDIM"], denoise, table, steps, eta=eta), x, 1e-4)


@pytest.mark.parametrize("steps", [5, 20])
def test_plms_from_noise_to_latents(samplers, wavy, table, steps):
    network, denoise = wavy
    other = PNDMScheduler(**SD, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)
    other.set_timesteps(steps)
    x = Noise([5, 6], SHAPE)()
    for t in other.timesteps:
        eps = network(x, torch.full((2,), float(t)), torch.zeros(2, 1, 1))
        x = other.step(eps, t, x).prev_sample
    assert_close(from_noise_to_latents(samplers["PLMS"], denoise, table, steps), x, 1e-4)


def test_lcm(samplers, wavy, table):
    network, denoise = wavy
    other = LCMScheduler(**SD, clip_sample=False)
    other.set_timesteps(4)
    sigmas = [*(table[int(t)] for t in other.timesteps), 0.0]
    noise, generator = Noise([5], SHAPE), torch.Generator().manual_seed(5)
    start = noise()
    x = torch.randn((1, *SHAPE), generator=generator)
    for t in other.timesteps:
        eps = network(x, torch.full((1,), float(t)), torch.zeros(1, 1, 1))
        x = other.step(eps, t, x, generator=generator).prev_sample
    found = sample(samplers["LCM"], denoise, start * math.sqrt(1 + sigmas[0] ** 2), sigmas, noise=noise)
    assert_close(found, x)
