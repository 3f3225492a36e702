"""Samplers against mathematics, and what every sampler has to keep to."""

import math
from itertools import pairwise

import pytest
import torch
from sampling import SAMPLERS, SHAPE, falling, ignore, sample

from modules.diffusion.ancestral import split_step
from modules.diffusion.churn import Churn
from modules.diffusion.noise import Noise
from modules.diffusion.sample import SamplingPlan, sigmas_for, text_to_image
from modules.diffusion.samplers.dpm_fast import orders_for
from modules.diffusion.samplers.lms import adams_weights
from modules.diffusion.samplers.restart import restart_steps
from modules.diffusion.schedules.karras import karras

SECOND_ORDER = {"DPM++ SDE", "DPM++ 2S a", "Heun", "DPM2", "DPM2 a", "Restart"}
BROWNIAN = {"DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"}
OWN_LEVELS = {"DDIM", "DDIM CFG++", "PLMS", "UniPC"}
OWN_STEPS = {"DPM fast", "DPM adaptive"}  # not those of the schedule; they end above 0

# The list ----------------------------------------------------------------------------------------------------------


def test_they_are_the_twenty_of_the_field(samplers):
    assert set(samplers) == set(SAMPLERS)


def test_what_is_said_about_them(samplers):
    def those(what):
        return {name for name, one in samplers.items() if what(one)}

    assert those(lambda one: one.order == 2) == SECOND_ORDER
    assert those(lambda one: "brownian" in one.options) == BROWNIAN
    assert those(lambda one: one.ensd) == {"Euler a", "DPM++ 2S a", "DPM2 a", "DPM fast", "DPM adaptive"}
    assert those(lambda one: one.discards) == {"DPM++ 3M SDE", "DPM2", "DPM2 a"}
    assert those(lambda one: one.levels is not None) == OWN_LEVELS
    assert those(lambda one: one.alone) == {"DPM adaptive"}
    assert those(lambda one: one.table is not None) == {"LCM"}
    assert those(lambda one: "s_churn" in one.options) == {"Euler", "Heun", "DPM2"}
    karras_ones = {"DPM++ 2M", "DPM++ SDE", "DPM++ 2S a", "DPM2", "DPM2 a", "Restart"}
    assert those(lambda one: one.schedule == "Karras") == karras_ones
    assert those(lambda one: one.schedule == "Exponential") == BROWNIAN - {"DPM++ SDE"}


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("k_euler", "Euler"),
        ("k_euler_a", "Euler a"),
        ("k_dpmpp_2m", "DPM++ 2M"),
        ("k_dpmpp_2m_ka", "DPM++ 2M"),
        ("k_dpmpp_sde", "DPM++ SDE"),
        ("k_dpmpp_2m_sde", "DPM++ 2M SDE"),
        ("k_dpmpp_2m_sde_heun", "DPM++ 2M SDE Heun"),
        ("k_dpmpp_2s_a", "DPM++ 2S a"),
        ("k_dpmpp_3m_sde", "DPM++ 3M SDE"),
        ("k_lms", "LMS"),
        ("k_heun", "Heun"),
        ("k_dpm_2", "DPM2"),
        ("k_dpm_2_a", "DPM2 a"),
        ("k_dpm_fast", "DPM fast"),
        ("k_dpm_ad", "DPM adaptive"),
        ("restart", "Restart"),
        ("ddim", "DDIM"),
        ("ddim_cfgpp", "DDIM CFG++"),
        ("plms", "PLMS"),
        ("unipc", "UniPC"),
        ("k_lcm", "LCM"),
    ],
)
def test_they_are_found_by_their_old_names(samplers, alias, name):
    assert samplers.find(alias).name == name


# Mathematics -------------------------------------------------------------------------------------------------------


def error_after(sampler, ideal, steps, **options):
    """How far from the exact end point, for latents ~ N(0, s²): x(sigma) = x0 √((s² + sigma²) / (s² + sigma0²))."""
    s, first, last = 0.7, 10.0, 0.1
    x = torch.linspace(-20, 20, 64, dtype=torch.float64).view(1, 4, 4, 4)
    exact = x * math.sqrt((s**2 + last**2) / (s**2 + first**2))
    found = sample(sampler, ideal(s), x, falling(first, last, steps), table=[last, first], **options)
    return (found - exact).abs().max().item()


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("Euler", 1),
        ("Euler a", 1),
        ("DDIM", 1),
        ("DDIM CFG++", 1),
        ("Heun", 2),
        ("DPM2", 2),
        ("DPM2 a", 2),
        ("DPM++ 2M", 2),
        ("DPM++ 2S a", 2),
        ("DPM++ SDE", 2),
        ("DPM++ 2M SDE", 2),
        ("DPM++ 2M SDE Heun", 2),
        ("DPM++ 3M SDE", 2),  # its first step, which knows one estimate, is of order 1, so the whole is of order 2
        ("PLMS", 2),  # the same
        ("UniPC", 2),  # its last step is of order 1 on purpose
    ],
)
def test_order_of_convergence(samplers, ideal, name, order):
    errors = [error_after(samplers[name], ideal, steps, eta=0.0) for steps in (64, 128, 256)]
    measured = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert measured == pytest.approx([order, order], abs=0.2)


@pytest.mark.parametrize(("name", "steps", "order"), [("LMS", (32, 64, 128), 3), ("DPM fast", (14, 29, 59), 3)])
def test_higher_order_of_convergence(samplers, ideal, name, steps, order):
    """DPM fast with 3k + 2 calls takes k steps of order 3 and one of 2; with 3k it ends on one of order 1."""
    errors = [error_after(samplers[name], ideal, n, eta=0.0) for n in steps]
    measured = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert min(measured) > order - 0.2


def test_the_adaptive_sampler_keeps_within_its_tolerance(samplers, ideal):
    spread = 20 * math.sqrt((0.7**2 + 0.1**2) / (0.7**2 + 10**2))
    assert error_after(samplers["DPM adaptive"], ideal, 10, eta=0.0) < 0.05 * spread


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("name", ["DPM++ 2M SDE Heun", "DPM++ 3M SDE"])
def test_a_straight_line_of_estimates_is_integrated_exactly(samplers, name, eta):
    """D a straight line in lambda = -log sigma, whatever x is; the exact step by quadrature."""
    sigmas, seen = falling(9.0, 0.4, 4), []
    sample(
        samplers[name],
        lambda x, sigma: torch.full_like(x, -math.log(sigma)),
        torch.ones(1, 1, 1, 1, dtype=torch.float64),
        sigmas,
        lambda step, x, denoised: seen.append(x.item()),
        eta=eta,
        s_noise=0.0,
    )
    before, after = (-math.log(sigma) for sigma in sigmas[-2:])
    lam = torch.linspace(before, after, 20_001, dtype=torch.float64)
    weight = (1 + eta) * torch.exp(-(1 + eta) * (after - lam)) * lam
    exact = math.exp(-(1 + eta) * (after - before)) * seen[2] + torch.trapezoid(weight, lam).item()
    assert seen[3] == pytest.approx(exact, abs=1e-6)


def test_adams_weights_integrate_cubics_exactly():
    known, to = [3.0, 4.5, 5.0, 9.0], 1.2
    for power in range(4):
        found = sum(w * place**power for w, place in zip(adams_weights(known, to), known, strict=True))
        assert found == pytest.approx((to ** (power + 1) - known[0] ** (power + 1)) / (power + 1))
    assert adams_weights([3.0], 1.0) == pytest.approx([-2.0])


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_unipc_takes_the_order_it_is_given(samplers, ideal, order):
    error = error_after(samplers["UniPC"], ideal, 40, unipc_order=order)
    first = error_after(samplers["UniPC"], ideal, 40, unipc_order=1)
    assert error == first if order == 1 else error < first / 2


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - OWN_STEPS - {"PLMS", "LMS"}))
def test_the_last_step_to_zero_is_the_denoised_estimate(samplers, ideal, name):
    seen = []
    watch = lambda step, x, denoised: seen.append(denoised)  # noqa: E731
    found = sample(samplers[name], ideal(0.5), torch.ones(1, *SHAPE), [2.0, 1.0, 0.0], watch)
    assert torch.allclose(found, seen[-1])


STOCHASTIC = [
    ("Euler a", {"eta": 1.0}),
    ("Euler a", {"eta": 0.5}),
    ("DDIM", {"eta": 1.0}),
    ("DDIM", {"eta": 0.5}),
    ("DDIM CFG++", {"eta": 0.7}),
    ("DPM2 a", {"eta": 1.0}),
    ("DPM++ 2S a", {"eta": 1.0}),
    ("DPM++ SDE", {"eta": 1.0}),
    ("DPM++ SDE", {"eta": 0.4}),
    ("DPM++ 2M SDE", {"eta": 1.0}),
    ("DPM++ 2M SDE Heun", {"eta": 1.0}),
    ("DPM++ 3M SDE", {"eta": 1.0}),
    ("DPM++ 3M SDE", {"eta": 0.4}),
    ("DPM fast", {"eta": 1.0}),
    ("DPM adaptive", {"eta": 1.0}),
    ("Restart", {}),
    ("Euler", {"s_churn": 40.0}),
    ("Heun", {"s_churn": 40.0}),
    ("DPM2", {"s_churn": 40.0, "s_tmin": 0.1, "s_tmax": 5.0}),
]


@pytest.mark.parametrize(("name", "options"), STOCHASTIC)
def test_fresh_noise_leaves_the_distribution_as_it_is(samplers, ideal, name, options):
    s, last = 0.7, 0.05
    sigmas = karras(100 if name in BROWNIAN else 400, (last, 10.0))
    noise = Noise([3], (4, 32, 32))
    start = noise() * math.sqrt(s**2 + sigmas[0] ** 2)  # what latents ~ N(0, s²) look like at that level
    found = sample(samplers[name], ideal(s), start, sigmas, noise=noise, table=[last, 10.0], **options)
    assert found.std().item() == pytest.approx(s, rel=0.04)  # the last step to 0 shortens by 0.3 %
    assert abs(found.mean().item()) < 0.05
    assert abs((found * start).mean().item() / (found.std() * start.std()).item()) < 0.97


@pytest.mark.parametrize("name", [name for name, _ in STOCHASTIC])
def test_without_noise_they_are_deterministic(samplers, wavy, name):
    x, sigmas = torch.ones(1, *SHAPE), karras(8, (0.03, 14.6))
    one, other = (
        sample(samplers[name], wavy[1], x, sigmas, noise=Noise([seed], SHAPE), eta=0.0, s_noise=0.0) for seed in (1, 2)
    )
    assert torch.equal(one, other)


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


def test_without_guidance_cfgpp_is_ddim(samplers, wavy):
    x, sigmas = Noise([4], SHAPE)() * 14.6, [14.6, 5.0, 2.0, 0.5, 0.0]
    one, other = (sample(samplers[name], wavy[1], x, sigmas, eta=0.3) for name in ("DDIM", "DDIM CFG++"))
    assert torch.allclose(one, other, atol=1e-5)


def test_cfgpp_goes_on_with_the_unconditional_noise(samplers):
    class Both:
        def apart(self, x, sigma, part):
            assert part == 1 / 12.5
            return x * 0 + 3.0, x * 0 + 1.0

    found = sample(samplers["DDIM CFG++"], Both(), torch.full((1, *SHAPE), 5.0), [2.0, 1.0])
    assert torch.allclose(found, torch.full((1, *SHAPE), 3.0 + 1.0 * (5.0 - 1.0) / 2.0))


def test_churn_raises_the_level_within_its_window_only():
    noise = Noise([1], SHAPE)
    churned = Churn(noise, 10, s_churn=2.0, s_tmin=1.0, s_tmax=5.0)
    x = torch.zeros(1, *SHAPE)
    raised, sigma = churned(x, 2.0)
    assert sigma == pytest.approx(2.4)
    assert torch.allclose(raised, Noise([1], SHAPE)() * math.sqrt(2.4**2 - 2.0**2))
    assert churned(x, 0.5) == (x, 0.5)
    assert churned(x, 6.0) == (x, 6.0)
    assert Churn(noise, 10, s_churn=1000.0)(x, 1.0)[1] == pytest.approx(math.sqrt(2))


def test_restarts_are_those_of_the_field():
    """From 20 steps on one loop of 9, from 36 on two of a quarter of the steps; as many steps as ever in sum."""
    levels = karras(10, (0.03, 14.6))
    assert restart_steps(levels) == list(pairwise(levels))
    for steps, length, times in ((20, 9, 1), (35, 9, 1), (36, 9, 2), (60, 15, 2)):
        pairs = restart_steps(karras(steps, (0.03, 14.6)))
        ups = [index for index in range(1, len(pairs)) if pairs[index][0] > pairs[index - 1][1]]
        assert len(pairs) == steps
        assert len(ups) == times
        assert all(pairs[index][0] == pytest.approx(2.0, rel=0.4) for index in ups)
        assert all(pairs[index - 1][1] == pytest.approx(0.1, rel=0.6) for index in ups)
        assert times == 1 or ups[1] - ups[0] == length
        assert pairs[-1][1] == 0


def test_a_restart_far_below_its_window_is_none():
    pairs = restart_steps(karras(24, (0.03, 0.05)))
    assert all(before[1] == after[0] for before, after in pairwise(pairs))


@pytest.mark.parametrize("name", sorted(OWN_STEPS))
@pytest.mark.parametrize("schedule", ["SGM Uniform", "Karras", "KL Optimal"])
def test_steps_of_their_own_end_where_the_model_ends(samplers, schedules, table, name, schedule):
    """Whatever the schedule's last level is, the noise has to go."""
    clean = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1))
    sigmas = sigmas_for(samplers[name], schedule, schedules, 12, table)
    found = sample(samplers[name], lambda x, sigma: clean, torch.ones(1, *SHAPE) * sigmas[0], sigmas)
    assert torch.allclose(found, clean, atol=0.12)


@pytest.mark.parametrize("calls", range(1, 40))
def test_dpm_fast_makes_as_many_calls_as_steps_were_asked_for(samplers, wavy, calls):
    assert sum(orders_for(calls)) == calls
    assert min(orders_for(calls)) >= 1
    network, denoise = wavy
    sample(samplers["DPM fast"], denoise, torch.ones(1, *SHAPE), karras(calls, (0.03, 14.6)))
    assert len(network.calls) == calls


def test_the_adaptive_sampler_gives_up_on_numbers_that_are_none(samplers):
    calls = []
    found = sample(
        samplers["DPM adaptive"],
        lambda x, sigma: calls.append(1) or x * math.nan,
        torch.ones(1, *SHAPE),
        [9.0, 1.0, 0.0],
    )
    assert torch.isnan(found).all()
    assert len(calls) < 5


def test_lcm_steps_from_the_estimate_with_noise_of_the_next_level(samplers):
    noise = Noise([3], SHAPE)
    first = Noise([3], SHAPE)()
    found = sample(samplers["LCM"], lambda x, sigma: x * 0 + 2.0, torch.ones(1, *SHAPE), [9.0, 0.5], noise=noise)
    assert torch.allclose(found, 2.0 + 0.5 * first)


# The contract of a sampler -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 4, 24, 40])
def test_calls_and_reports(samplers, wavy, name, steps):
    network, denoise = wavy
    sampler, reported, shapes = samplers[name], [], set()

    def on_step(step, x, denoised):
        reported.append(step)
        shapes.update((tuple(x.shape), tuple(denoised.shape)))

    sigmas = karras(steps, (0.03, 14.6))
    sample(sampler, denoise, torch.ones(2, *SHAPE), sigmas, on_step)
    assert shapes == {(2, *SHAPE)}
    assert all(type(step) is int for step in reported)
    assert reported == sorted(reported)
    assert reported[-1] == steps - 1
    if name not in OWN_STEPS:
        assert reported == list(range(steps))
        to_zero = 1 if sampler.order == 2 else 0  # a step to 0 has nowhere to look
        ahead = 1 if name == "PLMS" and steps > 1 else 0
        assert len(network.calls) == steps * sampler.order - to_zero + ahead


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_on_step_was_given_stays_as_it_was(samplers, wavy, name):
    given, copies = [torch.ones(1, *SHAPE)], [torch.ones(1, *SHAPE)]

    def on_step(step, x, denoised):
        given.extend((x, denoised))
        copies.extend((x.clone(), denoised.clone()))

    sample(samplers[name], wavy[1], given[0], karras(6, (0.03, 14.6)), on_step, s_churn=3.0)
    assert all(torch.equal(one, copy) for one, copy in zip(given, copies, strict=True))


@pytest.mark.parametrize("source", ["CPU", "NV"])
@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - {"DPM adaptive"}))
def test_a_picture_does_not_depend_on_its_batch(samplers, schedules, table, wavy, name, source):
    sampler = samplers[name]

    def latents(*seeds):
        plan = SamplingPlan(
            denoise=wavy[1],
            sampler=sampler,
            sigmas=sigmas_for(sampler, "Automatic", schedules, 8, table),
            noise=Noise(seeds, SHAPE, source, subseeds=[seed + 100 for seed in seeds], strength=0.3, ensd=31337),
            on_step=ignore,
            options={"eta": 0.8, "s_churn": 5.0, "table": table},
        )
        return text_to_image(plan)

    batch = latents(11, 12, 13)
    assert torch.equal(batch, latents(11, 12, 13))
    assert torch.allclose(batch, torch.cat([latents(seed) for seed in (11, 12, 13)]), atol=1e-5)
    assert torch.allclose(batch[[2, 0]], latents(13, 11), atol=1e-5)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_goes_with_every_schedule(samplers, schedules, table, ideal, name):
    for schedule in schedules:
        for steps in (1, 2, 7):
            plan = SamplingPlan(
                denoise=ideal(0.8),
                sampler=samplers[name],
                sigmas=sigmas_for(samplers[name], schedule, schedules, steps, table),
                noise=Noise([1], SHAPE),
                on_step=ignore,
                options={"table": table},
            )
            assert text_to_image(plan).shape == (1, *SHAPE)  # it looks for numbers that are not finite itself
