"""How a request's words about noise levels come out."""

import pytest
import torch
from sampling import SAMPLERS, SHAPE, ignore

from modules.core.extension_points import Sampler
from modules.diffusion.noise import Noise
from modules.diffusion.sample import LevelOptions, SamplingPlan, image_levels, image_to_image, sigmas_for

OWN_LEVELS = ("DDIM", "DDIM CFG++", "PLMS", "UniPC")


def levels(samplers, schedules, table, strength, exact=False, name="Euler", steps=20, schedule="Automatic", **options):
    known = LevelOptions(**options)
    return image_levels(samplers[name], schedule, schedules, steps, table, strength, exact, known)


# Steps on a picture: observed values, see tests/reference/README.md ------------------------------------------------

OBSERVED = [(0.1, 3, 200), (0.3, 7, 66), (0.5, 11, 40), (0.75, 16, 26), (0.9, 19, 22), (1.0, 20, 20)]


@pytest.mark.parametrize(("strength", "steps", "length"), OBSERVED)
def test_steps_on_a_picture(samplers, schedules, table, strength, steps, length):
    found = levels(samplers, schedules, table, strength)
    assert len(found) - 1 == steps
    assert found == schedules["Uniform"].sigmas(20, table)[-(steps + 1) :]
    exact = levels(samplers, schedules, table, strength, exact=True)
    assert len(exact) - 1 == 20
    assert exact == schedules["Uniform"].sigmas(length, table)[-21:]


def test_no_strength_is_one_step_or_exactly_none(samplers, schedules, table):
    assert len(levels(samplers, schedules, table, 0.0)) == 2
    assert levels(samplers, schedules, table, 0.0, exact=True) == []


@pytest.mark.parametrize("name", OWN_LEVELS)
@pytest.mark.parametrize("strength", [0.04, 0.1, 0.5, 0.75, 1.0])
def test_samplers_with_their_own_levels_take_the_first_timesteps(samplers, schedules, table, name, strength):
    taken = max(1, int(min(strength, 0.999) * 20))
    found = levels(samplers, schedules, table, strength, name=name)
    timesteps = [1 + 50 * i for i in range(20)]
    assert len(found) - 1 == taken
    assert found[0] == pytest.approx(table[timesteps[taken - 1]])
    assert found[-1] == pytest.approx(table[0])
    if name != "UniPC":
        assert found[:-1] == [table[t] for t in reversed(timesteps[:taken])]


def test_the_timesteps_of_unipc_are_even(samplers, schedules, table):
    whole = samplers["UniPC"].levels(30, table)  # 1000 // 30 = 33: DDIM has 31 timesteps then
    assert len(whole) == 32
    assert whole[0] == pytest.approx(table[999])
    assert whole[-1] == pytest.approx(table[0])
    middle = samplers["UniPC"].levels(999, [*table[:1], *table])[0]
    assert middle == pytest.approx(table[999])


@pytest.mark.parametrize("strength", [1e-9, 0.001, 0.01, 0.02, 0.5, 0.999])
@pytest.mark.parametrize("schedule", ["Automatic", "Simple", "DDIM", "Karras", "KL Optimal", "Beta"])
def test_the_weakest_strength_gives_levels_that_fall(samplers, schedules, table, strength, schedule):
    """Schedules of thousands of steps, more than the model has levels."""
    found = levels(samplers, schedules, table, strength, exact=True, steps=7, schedule=schedule)
    assert 2 <= len(found) <= 9
    assert found == sorted(set(found), reverse=True)


# Options -----------------------------------------------------------------------------------------------------------


def test_a_sampler_that_discards_leaves_out_the_last_level_but_one(samplers, schedules, table):
    found = sigmas_for(samplers["DPM2"], "Automatic", schedules, 6, table)
    seven = schedules["Karras"].sigmas(7, table)
    assert found == [*seven[:-2], 0.0]


def test_any_sampler_can_be_asked_to_discard(samplers, schedules, table):
    found = sigmas_for(samplers["Euler"], "Karras", schedules, 6, table, LevelOptions(discard=True))
    assert found == [*schedules["Karras"].sigmas(7, table)[:-2], 0.0]
    once = sigmas_for(samplers["DPM2"], "Karras", schedules, 6, table, LevelOptions(discard=True))
    assert once == found


@pytest.mark.parametrize("name", SAMPLERS)
def test_there_are_as_many_steps_as_asked_for(samplers, schedules, table, name):
    assert len(sigmas_for(samplers[name], "Automatic", schedules, 20, table)) == 21


def test_a_schedule_gets_the_options_it_names(samplers, schedules, table):
    wanted = LevelOptions(sigma_min=0.1, sigma_max=10.0, rho=3.0, beta_alpha=0.9, beta_beta=1.2)
    found = sigmas_for(samplers["Euler"], "Karras", schedules, 6, table, wanted)
    assert found == schedules["Karras"].sigmas(6, table, sigma_min=0.1, sigma_max=10.0, rho=3.0)
    found = sigmas_for(samplers["Euler"], "Beta", schedules, 6, table, wanted)
    expected = schedules["Beta"].sigmas(6, table, sigma_min=0.1, sigma_max=10.0, beta_alpha=0.9, beta_beta=1.2)
    assert found == expected
    assert sigmas_for(samplers["Euler"], "Simple", schedules, 6, table, wanted) == schedules["Simple"].sigmas(6, table)


def test_nothing_said_is_the_schedules_own(samplers, schedules, table):
    plain = schedules["Polyexponential"].sigmas(6, table)
    assert sigmas_for(samplers["Euler"], "Polyexponential", schedules, 6, table, LevelOptions()) == plain


def test_lcm_visits_what_it_was_taught_at(samplers, schedules, table):
    """Every 20th level, from the last; between two of them when the steps do not fit."""
    assert sigmas_for(samplers["LCM"], "Simple", schedules, 5, table) == [
        *(table[999 - 200 * i] for i in range(5)),
        0.0,
    ]
    found = sigmas_for(samplers["LCM"], "Automatic", schedules, 4, table)
    assert found[0] == table[999]
    assert found[3] == table[19]
    assert table[659] < found[1] < table[679]


def test_sdxl_has_steps_of_its_own(samplers, schedules, table):
    sd1, sdxl = (
        sigmas_for(samplers["Euler"], "Align Your Steps", schedules, 11, table, LevelOptions(sdxl=sdxl))
        for sdxl in (False, True)
    )
    assert (sd1[1], sdxl[1]) == (6.475, 6.315)


# From a picture ----------------------------------------------------------------------------------------------------


def started(sigmas, **options):
    got = []
    levels_ = options.pop("levels", None)
    sampler = Sampler(name="W", sample=lambda denoise, x, sigmas, on_step: got.append(x) or x, levels=levels_)
    plan = SamplingPlan(
        denoise=lambda x, sigma: x, sampler=sampler, sigmas=sigmas, noise=Noise([1], SHAPE), on_step=ignore
    )
    found = image_to_image(plan, torch.ones(1, *SHAPE), **options)
    return got[0] if got else None, found


def test_it_starts_from_the_picture_with_noise_of_the_first_level():
    start, _ = started([2.0, 0.0])
    assert torch.allclose(start, 1 + 2.0 * Noise([1], SHAPE)())


def test_noise_multiplier_and_extra_noise():
    start, _ = started([2.0, 0.0], noise_multiplier=1.1, extra_noise=0.3)
    assert torch.allclose(start, 1 + 1.1 * 2.3 * Noise([1], SHAPE)())


def test_the_result_of_levels_above_0_is_brought_to_scale():
    start, found = started([2.0, 0.5], levels=lambda steps, table, last=None: [])
    assert torch.allclose(found, start / 1.25**0.5)


def test_no_levels_are_no_work():
    start, found = started([])
    assert start is None
    assert torch.equal(found, torch.ones(1, *SHAPE))


def test_at_no_noise_a_picture_comes_back(samplers, schedules, table, ideal):
    """The ideal denoiser of a point: whatever the noise, the picture it was made from."""
    picture = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1))
    for name in set(SAMPLERS) - {"DPM fast", "DPM adaptive"}:
        sampler = samplers[name]
        plan = SamplingPlan(
            denoise=lambda x, sigma: picture,
            sampler=sampler,
            sigmas=image_levels(sampler, "Automatic", schedules, 12, table, 0.6, False),
            noise=Noise([1], SHAPE),
            on_step=ignore,
            options={"table": table},
        )
        assert torch.allclose(image_to_image(plan, picture), picture, atol=0.12)
