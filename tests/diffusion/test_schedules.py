"""Schedules: observed values, see tests/reference/README.md."""

import pytest
from diffusers import EulerDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st

OBSERVED = {
    "Automatic": [14.6146, 4.0861, 1.6156, 0.6951, 0.0292, 0.0],
    "Uniform": [14.6146, 4.0861, 1.6156, 0.6951, 0.0292, 0.0],
    "Karras": [14.6146, 4.7965, 1.2741, 0.2480, 0.0292, 0.0],
    "DDIM": [5.1344, 2.2929, 1.1682, 0.5741, 0.0413, 0.0],
}


@pytest.mark.parametrize("name", OBSERVED)
def test_five_steps_of_stable_diffusion(schedules, table, name):
    assert [round(sigma, 4) for sigma in schedules[name].sigmas(5, table)] == OBSERVED[name]


def test_every_schedule_has_been_observed(schedules):
    assert set(schedules) == set(OBSERVED)


@pytest.mark.parametrize("name", OBSERVED)
@given(steps=st.integers(1, 150))
def test_levels_fall_to_zero(schedules, table, name, steps):
    sigmas = schedules[name].sigmas(steps, table)
    assert len(sigmas) == steps + 1 or name == "DDIM"
    assert all(isinstance(sigma, float) for sigma in sigmas)
    assert sigmas == sorted(set(sigmas), reverse=True)
    assert sigmas[-1] == 0.0
    assert sigmas[-2] >= table[0] * (1 - 1e-12)
    assert sigmas[0] <= table[-1] * (1 + 1e-12)


def test_one_step_begins_at_the_top(schedules, table):
    for name in ("Uniform", "Karras"):
        assert schedules[name].sigmas(1, table) == pytest.approx([table[-1], 0.0])


@pytest.mark.parametrize("steps", [2, 7, 20])
def test_karras_agrees_with_diffusers(schedules, table, steps):
    other = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", use_karras_sigmas=True
    )
    other.set_timesteps(steps)
    assert schedules["Karras"].sigmas(steps, table) == pytest.approx(other.sigmas.tolist(), rel=1e-4)


@pytest.mark.parametrize(("steps", "visited"), [(5, 5), (20, 20), (30, 31), (150, 167), (1, 1)])
def test_ddim_may_visit_more_levels_than_asked(schedules, table, steps, visited):
    assert len(schedules["DDIM"].sigmas(steps, table)) == visited + 1


@pytest.mark.parametrize("name", ["karras", "KARRAS", "automatic", "ddim"])
def test_a_schedule_is_found_by_its_key(schedules, name):
    assert schedules.find(name).key == name.lower()


def test_automatic_comes_first(schedules):
    assert next(iter(schedules)) == "Automatic"
