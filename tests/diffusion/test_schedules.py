"""Schedules: observed values, see tests/reference/README.md."""

import math

import numpy as np
import pytest
from diffusers import EulerDiscreteScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.core.errors import InvalidRequest
from modules.diffusion.quantiles import beta_cumulative, beta_quantiles

OBSERVED = {
    "Automatic": [14.6146, 4.0861, 1.6156, 0.6951, 0.0292, 0.0],
    "Uniform": [14.6146, 4.0861, 1.6156, 0.6951, 0.0292, 0.0],
    "Karras": [14.6146, 4.7965, 1.2741, 0.2480, 0.0292, 0.0],
    "Exponential": [14.6146, 3.0890, 0.6529, 0.1380, 0.0292, 0.0],
    "Polyexponential": [14.6146, 3.0890, 0.6529, 0.1380, 0.0292, 0.0],
    "SGM Uniform": [14.6146, 5.0924, 2.2797, 1.1629, 0.5712, 0.0],
    "KL Optimal": [14.6146, 2.6329, 1.2948, 0.7116, 0.3356, 0.0292],
    "Align Your Steps": [14.6150, 3.2269, 1.3960, 0.5100, 0.0290, 0.0],
    "Simple": [14.6146, 5.0878, 2.2765, 1.1606, 0.5693, 0.0],
    "Normal": [14.6146, 4.0861, 1.6156, 0.6951, 0.0292, 0.0],
    "DDIM": [5.1344, 2.2929, 1.1682, 0.5741, 0.0413, 0.0],
    "Beta": [14.6146, 12.0523, 7.3219, 2.5915, 0.0292, 0.0],
}


@pytest.mark.parametrize("name", OBSERVED)
def test_five_steps_of_stable_diffusion(schedules, table, name):
    assert [round(sigma, 4) for sigma in schedules[name].sigmas(5, table)] == OBSERVED[name]


def test_every_schedule_has_been_observed(schedules):
    assert set(schedules) == set(OBSERVED)


@pytest.mark.parametrize("name", OBSERVED)
@settings(deadline=None)
@given(steps=st.integers(1, 150))
def test_levels_fall_to_zero(schedules, table, name, steps):
    sigmas = schedules[name].sigmas(steps, table)
    assert len(sigmas) == steps + 1 or name == "DDIM"
    assert all(isinstance(sigma, float) for sigma in sigmas)
    assert sigmas == sorted(set(sigmas), reverse=True)
    assert sigmas[-1] == (pytest.approx(table[0]) if name == "KL Optimal" else 0.0)
    assert sigmas[-2] >= table[0] * (1 - 1e-2)  # Align Your Steps: 0.029
    assert sigmas[0] <= table[-1] * (1 + 1e-4)


def test_one_step_begins_at_the_top(schedules, table):
    for name in set(OBSERVED) - {"DDIM"}:
        last = table[0] if name == "KL Optimal" else 0.0
        assert schedules[name].sigmas(1, table) == pytest.approx([table[-1], last], rel=1e-4)


@pytest.mark.parametrize("steps", [2, 7, 20])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Karras", {"use_karras_sigmas": True}),
        ("Exponential", {"use_exponential_sigmas": True}),
        ("Uniform", {"timestep_spacing": "linspace"}),
        ("Beta", {"use_beta_sigmas": True}),
    ],
)
def test_schedules_agree_with_diffusers(schedules, table, name, options, steps):
    if name == "Beta":
        pytest.importorskip("scipy")  # diffusers asks it for quantiles
    other = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", **options)
    other.set_timesteps(steps)
    tolerance = 2e-3 if name == "Uniform" else 1e-4  # theirs is linear in sigma between two levels
    assert schedules[name].sigmas(steps, table) == pytest.approx(other.sigmas.tolist(), rel=tolerance)


@pytest.mark.parametrize(
    "name", ["Karras", "Exponential", "Polyexponential", "SGM Uniform", "KL Optimal", "Normal", "Beta"]
)
def test_the_ends_can_be_chosen(schedules, table, name):
    sigmas = schedules[name].sigmas(6, table, sigma_min=0.1, sigma_max=10.0)
    lowest = sigmas[-1] if name == "KL Optimal" else sigmas[-2]
    assert sigmas[0] == pytest.approx(10.0)
    assert lowest == pytest.approx(0.1) or name == "SGM Uniform"
    assert lowest >= 0.1 - 1e-9


@pytest.mark.parametrize(
    ("low", "high", "field"), [(20.0, 0.0, "sigma_min"), (0.0, 0.01, "sigma_max"), (5.0, 5.0, "sigma_min")]
)
def test_ends_that_do_not_fall_are_refused(schedules, table, low, high, field):
    with pytest.raises(InvalidRequest, match="must fall") as refusal:
        schedules["Karras"].sigmas(5, table, sigma_min=low, sigma_max=high)
    assert refusal.value.problems[0].field == field


def test_rho_bends_karras_and_polyexponential(schedules, table):
    straight = schedules["Karras"].sigmas(5, table, rho=1.0)
    assert straight[2] == pytest.approx((table[0] + table[-1]) / 2)
    bent = schedules["Polyexponential"].sigmas(5, table, rho=2.0)
    assert math.log(bent[2]) == pytest.approx(math.log(table[0]) + (math.log(table[-1]) - math.log(table[0])) / 4)
    assert {name: one.default_rho for name, one in schedules.items() if one.default_rho > 0} == {
        "Karras": 7.0,
        "Polyexponential": 1.0,
    }


def test_the_smallest_rho_of_a_request_gives_numbers(schedules, table):
    assert all(math.isfinite(sigma) for sigma in schedules["Karras"].sigmas(5, table, rho=1e-9, sigma_max=1000.0))


def test_align_your_steps_has_levels_of_its_own_for_sdxl(schedules, table):
    ten = schedules["Align Your Steps"].sigmas(11, table, sdxl=True)
    assert ten == [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029, 0.0]


def cumulative(x, alpha, beta):
    return beta_cumulative(np.array([x]), alpha, beta).item()


@pytest.mark.parametrize(("alpha", "beta"), [(0.6, 0.6), (2.0, 5.0), (0.3, 3.0), (5.0, 0.5)])
@settings(deadline=None, max_examples=30)
@given(probability=st.floats(0, 1))
def test_a_quantile_is_the_inverse_of_the_distribution(alpha, beta, probability):
    (x,) = beta_quantiles([probability], alpha, beta)
    below, above = (cumulative(min(max(x + change, 0.0), 1.0), alpha, beta) for change in (-1e-12, 1e-12))
    assert below - 1e-6 <= probability <= above + 1e-6


@pytest.mark.parametrize(("alpha", "beta"), [(0.01, 0.01), (5.0, 0.01), (0.01, 5.0), (5.0, 5.0)])
def test_the_extreme_parameters_of_a_request_give_quantiles_in_order(alpha, beta):
    found = beta_quantiles([i / 149 for i in range(150)], alpha, beta)
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0.0, 1.0)


def test_known_distributions():
    """Beta(1, 1) is even, Beta(1/2, 1/2) the arc sine, Beta(a, 1) a power."""
    for x in (0.01, 0.3, 0.5, 0.99):
        assert cumulative(x, 1.0, 1.0) == pytest.approx(x)
        assert cumulative(x, 0.5, 0.5) == pytest.approx(2 / math.pi * math.asin(math.sqrt(x)))
        assert cumulative(x, 3.5, 1.0) == pytest.approx(x**3.5)


@pytest.mark.parametrize(("steps", "visited"), [(5, 5), (20, 20), (30, 31), (150, 167), (1, 1)])
def test_ddim_may_visit_more_levels_than_asked(schedules, table, steps, visited):
    assert len(schedules["DDIM"].sigmas(steps, table)) == visited + 1


@pytest.mark.parametrize(
    "name", ["karras", "KARRAS", "automatic", "ddim", "sgm_uniform", "SGMUniform", "kl_optimal", "align_your_steps"]
)
def test_a_schedule_is_found_by_its_key(schedules, name):
    assert schedules.find(name).key == name.lower().replace("sgmuniform", "sgm_uniform")
