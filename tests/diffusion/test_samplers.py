"""Samplers against mathematics, and against diffusers where it has the same algorithm."""

import math
from itertools import pairwise

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
)

from modules.diffusion.ancestral import split_step
from modules.diffusion.denoiser import timestep_at
from modules.diffusion.noise import Noise
from modules.diffusion.sample import SamplingPlan, text_to_image

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SHAPE = (4, 8, 8)
ALL = ["DDIM", "DPM++ 2M", "Euler", "Euler a"]


def ignore(step, x, denoised):
    """Nobody watches."""


def sample(sampler, denoise, x, sigmas, **options):
    known = {"noise": Noise([1] * x.shape[0], tuple(x.shape[1:]))} | options
    return sampler.sample(denoise, x, sigmas, ignore, **{k: v for k, v in known.items() if k in sampler.options})


# Mathematics --------------------------------------------------------------------------------------------------------


def error_after(sampler, ideal, steps, eta):
    """How far from the exact end point, for latents ~ N(0, s²): x(sigma) = x0 √((s² + sigma²) / (s² + sigma0²))."""
    s, first, last = 0.7, 10.0, 0.1
    sigmas = [first * (last / first) ** (i / steps) for i in range(steps + 1)]
    x = torch.linspace(-20, 20, 64, dtype=torch.float64).view(1, 4, 4, 4)
    exact = x * math.sqrt((s**2 + last**2) / (s**2 + first**2))
    found = sample(sampler, ideal(s), x, sigmas, eta=eta)
    return (found - exact).abs().max().item()


@pytest.mark.parametrize(("name", "order"), [("Euler", 1), ("DDIM", 1), ("Euler a", 1), ("DPM++ 2M", 2)])
def test_order_of_convergence(samplers, ideal, name, order):
    errors = [error_after(samplers[name], ideal, steps, eta=0.0) for steps in (64, 128, 256)]
    measured = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert measured == pytest.approx([order, order], abs=0.15)


@pytest.mark.parametrize("name", ALL)
def test_the_last_step_to_zero_is_the_denoised_estimate(samplers, ideal, name):
    x = torch.ones(1, *SHAPE)
    seen = []
    found = samplers[name].sample(
        ideal(0.5),
        x,
        [2.0, 1.0, 0.0],
        lambda step, x, denoised: seen.append(denoised),
        **({"noise": Noise([1], SHAPE)} if "noise" in samplers[name].options else {}),
    )
    assert torch.allclose(found, seen[-1])


@pytest.mark.parametrize(("name", "eta"), [("Euler a", 1.0), ("Euler a", 0.5), ("DDIM", 1.0), ("DDIM", 0.5)])
def test_fresh_noise_leaves_the_distribution_as_it_is(samplers, ideal, name, eta):
    s = 0.7
    sigmas = [10.0 * (0.05 / 10.0) ** (i / 150) for i in range(151)]
    noise = Noise([3], (4, 64, 64))
    start = noise() * math.sqrt(s**2 + sigmas[0] ** 2)  # what latents ~ N(0, s²) look like at that level
    found = sample(samplers[name], ideal(s), start, sigmas, noise=noise, eta=eta)
    assert found.std().item() == pytest.approx(math.sqrt(s**2 + sigmas[-1] ** 2), rel=0.03)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_the_two_parts_of_an_ancestral_step_make_up_the_level(eta):
    for sigma, sigma_next in [(14.6, 8.0), (1.0, 0.999), (0.03, 0.0), (5.0, 1e-6)]:
        down, up = split_step(sigma, sigma_next, eta)
        assert math.hypot(down, up) == pytest.approx(sigma_next)
        assert 0 <= up <= sigma_next
    assert split_step(2.0, 1.0, 0.0) == (1.0, 0.0)


def test_ddim_at_eta_1_is_euler_ancestral(samplers, wavy):
    x, sigmas = Noise([4], SHAPE)() * 14.6, [14.6, 5.0, 2.0, 0.5, 0.0]
    one, other = (sample(samplers[name], wavy[1], x, sigmas, eta=1.0) for name in ("DDIM", "Euler a"))
    assert torch.allclose(one, other, atol=1e-5)


# Another program ----------------------------------------------------------------------------------------------------


def run_diffusers(scheduler, network, x, table, **options):
    """Their loop with our network; timesteps between two training levels are ours, theirs are rounded."""
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas, strict=False):
        timestep = torch.full((x.shape[0],), timestep_at(sigma.item(), table))
        eps = network(scheduler.scale_model_input(x, t), timestep, torch.zeros(x.shape[0], 1, 1))
        x = scheduler.step(eps, t, x, **options).prev_sample
    return x


@pytest.mark.parametrize("steps", [1, 4, 20])
@pytest.mark.parametrize("karras", [False, True])
def test_euler_agrees_with_diffusers(samplers, wavy, table, steps, karras):
    network, denoise = wavy
    other = EulerDiscreteScheduler(**SD, use_karras_sigmas=karras)
    other.set_timesteps(steps)
    x = Noise([5, 6], SHAPE)() * other.sigmas[0]
    expected = run_diffusers(other, network, x, table)
    assert torch.allclose(samplers["Euler"].sample(denoise, x, other.sigmas.tolist(), ignore), expected, atol=1e-4)


def test_euler_ancestral_agrees_with_diffusers(samplers, wavy, table):
    network, denoise = wavy
    other = EulerAncestralDiscreteScheduler(**SD)
    other.set_timesteps(12)
    noise, generator = Noise([5], SHAPE), torch.Generator().manual_seed(5)
    x = noise() * other.sigmas[0]
    torch.randn((1, *SHAPE), generator=generator)  # theirs is where ours is: after the starting noise
    expected = run_diffusers(other, network, x, table, generator=generator)
    found = samplers["Euler a"].sample(denoise, x, other.sigmas.tolist(), ignore, noise=noise)
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("steps", [2, 5, 20])
def test_dpmpp_2m_karras_agrees_with_diffusers(samplers, wavy, table, steps):
    network, denoise = wavy
    other = DPMSolverMultistepScheduler(**SD, use_karras_sigmas=True)
    other.set_timesteps(steps)
    sigmas = other.sigmas.tolist()
    x = Noise([5, 6], SHAPE)() * sigmas[0]
    expected = run_diffusers(other, network, x / math.sqrt(1 + sigmas[0] ** 2), table)
    assert torch.allclose(samplers["DPM++ 2M"].sample(denoise, x, sigmas, ignore), expected, atol=2e-4)


@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize("steps", [5, 20])
def test_ddim_agrees_with_diffusers_from_noise_to_latents(samplers, wavy, table, steps, eta):
    network, denoise = wavy
    sampler = samplers["DDIM"]
    other = DDIMScheduler(**SD, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    other.set_timesteps(steps)
    theirs = Noise([5, 6], SHAPE)
    x = theirs()
    for t in other.timesteps:
        eps = network(x, torch.full((2,), float(t)), torch.zeros(2, 1, 1))
        x = other.step(eps, t, x, eta=eta, variance_noise=theirs() if eta else None).prev_sample
    plan = SamplingPlan(
        denoise=denoise,
        sampler=sampler,
        sigmas=sampler.levels(steps, table),
        noise=Noise([5, 6], SHAPE),
        on_step=ignore,
        eta=eta,
    )
    assert torch.allclose(text_to_image(plan), x, atol=1e-3)


# The contract of a sampler ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_one_denoiser_call_and_one_report_a_step(samplers, wavy, name):
    network, denoise = wavy
    steps, shapes = [], set()

    def on_step(step, x, denoised):
        steps.append(step)
        shapes.update((tuple(x.shape), tuple(denoised.shape)))

    options = {"noise": Noise([1, 2], SHAPE)} if "noise" in samplers[name].options else {}
    samplers[name].sample(denoise, torch.ones(2, *SHAPE), [9.0, 3.0, 1.0, 0.1, 0.0], on_step, **options)
    assert steps == [0, 1, 2, 3]
    assert len(network.calls) == 4 * samplers[name].order
    assert shapes == {(2, *SHAPE)}


@pytest.mark.parametrize("name", ALL)
def test_what_on_step_was_given_stays_as_it_was(samplers, wavy, name):
    given, copies = [torch.ones(1, *SHAPE)], [torch.ones(1, *SHAPE)]

    def on_step(step, x, denoised):
        given.extend((x, denoised))
        copies.extend((x.clone(), denoised.clone()))

    options = {"noise": Noise([1], SHAPE)} if "noise" in samplers[name].options else {}
    samplers[name].sample(wavy[1], given[0], [9.0, 3.0, 1.0, 0.0], on_step, **options)
    assert all(torch.equal(one, copy) for one, copy in zip(given, copies, strict=True))


@pytest.mark.parametrize("name", ALL)
def test_a_picture_does_not_depend_on_its_batch(samplers, schedules, table, wavy, name):
    def latents(*seeds):
        sampler = samplers[name]
        sigmas = sampler.levels(8, table) if sampler.levels else schedules["Karras"].sigmas(8, table)
        noise = Noise(seeds, SHAPE)
        return text_to_image(
            SamplingPlan(denoise=wavy[1], sampler=sampler, sigmas=sigmas, noise=noise, on_step=ignore, eta=0.8)
        )

    batch = latents(11, 12, 13)
    assert torch.equal(batch, latents(11, 12, 13))
    assert torch.allclose(batch, torch.cat([latents(seed) for seed in (11, 12, 13)]), atol=1e-5)
    assert torch.allclose(batch[[2, 0]], latents(13, 11), atol=1e-5)


def test_the_samplers_are_found_by_their_old_names(samplers):
    names = {"k_euler": "Euler", "k_euler_a": "Euler a", "k_dpmpp_2m": "DPM++ 2M", "ddim": "DDIM"}
    assert {alias: samplers.find(alias).name for alias in names} == names
