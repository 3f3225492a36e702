import math

import pytest
import torch

from modules.core.errors import Cancelled, NotFinite, UnknownName
from modules.core.extension_points import Sampler
from modules.diffusion.noise import Noise
from modules.diffusion.sample import (
    SamplingPlan,
    image_to_image,
    schedule_for,
    schedule_label,
    sigmas_for,
    text_to_image,
)

SHAPE = (4, 8, 8)


def ignore(step, x, denoised):
    """Nobody watches."""


def plan(sampler, **others):
    known = {
        "denoise": lambda x, sigma: x * 0,
        "sigmas": [14.0, 3.0, 0.0],
        "noise": Noise([1], SHAPE),
        "on_step": ignore,
    }
    return SamplingPlan(**(known | {"sampler": sampler} | others))


@pytest.mark.parametrize(
    ("sampler", "chosen", "resolved", "label"),
    [
        ("DPM++ 2M", "Automatic", "Karras", "Karras"),
        ("DPM++ 2M", "Uniform", "Uniform", "Uniform"),
        ("Euler", "Automatic", "Uniform", "Automatic"),
        ("Euler", "automatic", "Uniform", "Automatic"),
        ("Euler", "uniform", "Uniform", "Uniform"),
        ("Euler a", "karras", "Karras", "Karras"),
    ],
)
def test_automatic_is_the_samplers_own(samplers, schedules, table, sampler, chosen, resolved, label):
    one = samplers[sampler]
    assert schedule_for(one, chosen, schedules).name == resolved
    assert schedule_label(one, chosen, schedules) == label
    assert sigmas_for(one, chosen, schedules, 6, table) == schedules[resolved].sigmas(6, table)


@pytest.mark.parametrize("chosen", ["Automatic", "Karras"])
def test_ddim_keeps_to_its_own_levels(samplers, schedules, table, chosen):
    sigmas = sigmas_for(samplers["DDIM"], chosen, schedules, 5, table)
    assert sigmas == [table[801], table[601], table[401], table[201], table[1], table[0]]
    assert schedule_label(samplers["DDIM"], chosen, schedules) == "Automatic"


def test_an_unknown_schedule_is_refused(samplers, schedules, table):
    with pytest.raises(UnknownName, match="did you mean 'Karras'"):
        sigmas_for(samplers["Euler"], "Karas", schedules, 5, table)


def test_it_starts_from_noise_at_the_first_level(samplers):
    started = []
    sampler = Sampler(name="Watch", sample=lambda denoise, x, sigmas, on_step: started.append(x) or x)
    text_to_image(plan(sampler))
    assert torch.equal(started[0], Noise([1], SHAPE)() * 14.0)


def test_a_variance_preserving_sampler_starts_and_ends_in_its_own_form():
    noise = Noise([1], SHAPE)()
    started = []
    sampler = Sampler(
        name="Watch", sample=lambda denoise, x, sigmas, on_step: started.append(x) or x, levels=lambda steps, table: []
    )
    found = text_to_image(plan(sampler, sigmas=[2.0, 0.5]))
    assert torch.allclose(started[0], noise * math.sqrt(5.0))
    assert torch.allclose(found, noise * math.sqrt(5.0) / math.sqrt(1.25))


def greedy_options(names, **given):
    """What a sampler that names these options gets."""
    got = []

    def greedy(denoise, x, sigmas, on_step, **options):
        got.append(options)
        return x

    text_to_image(plan(Sampler(name="Greedy", sample=greedy, options=names), options=given))
    return got[0]


def test_a_sampler_gets_the_options_it_names():
    given = {"eta": 0.5, "s_churn": 3.0, "table": [1.0, 2.0]}
    assert greedy_options((), **given) == {}
    assert set(greedy_options(("noise",), **given)) == {"noise"}
    assert greedy_options(("eta", "table"), **given) == {"eta": 0.5, "table": [1.0, 2.0]}


def test_what_is_not_said_is_the_samplers_own():
    assert greedy_options(("eta", "s_tmax", "s_tmin", "s_noise"), eta=None, s_tmax=0.0, s_tmin=0.0) == {"s_tmin": 0.0}
    assert greedy_options(("s_tmax",), s_tmax=5.0) == {"s_tmax": 5.0}


def test_a_brownian_path_spans_the_levels_of_the_plan():
    brownian = greedy_options(("brownian",))["brownian"]
    assert torch.equal(brownian(14.0, 3.0), Noise([1], SHAPE).brownian([14.0, 3.0, 0.0])(14.0, 3.0))


def test_on_a_picture_the_path_spans_the_whole_schedule(table):
    """So the noise of the last steps is the same whatever part of them is done, and the field's."""
    got = []

    def watch(denoise, x, sigmas, on_step, *, brownian):
        got.append(brownian(3.0, 1.0))
        return x

    sampler = Sampler(name="Watch", sample=watch, options=("brownian",))
    one = plan(sampler, sigmas=[3.0, 1.0, table[0], 0.0], options={"table": table})
    image_to_image(one, torch.zeros(1, *SHAPE))
    assert torch.equal(got[0], Noise([1], SHAPE).brownian([table[-1], table[0]])(3.0, 1.0))


def test_the_noise_multiplier_of_sgm():
    started = []
    sampler = Sampler(name="Watch", sample=lambda denoise, x, sigmas, on_step: started.append(x) or x)
    text_to_image(plan(sampler, sgm_noise=True))
    assert torch.allclose(started[0], Noise([1], SHAPE)() * math.sqrt(1 + 14.0**2))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_no_picture(samplers, bad):
    with pytest.raises(NotFinite, match="not finite"):
        text_to_image(plan(samplers["Euler"], denoise=lambda x, sigma: x * bad))


def test_a_job_is_left_at_the_step_that_says_so(samplers):
    calls = []

    def on_step(step, x, denoised):
        calls.append(step)
        if step == 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        text_to_image(plan(samplers["Euler"], sigmas=[9.0, 5.0, 3.0, 1.0, 0.0], on_step=on_step))
    assert calls == [0, 1]


def test_nothing_is_kept_for_a_backward_pass(samplers):
    weight = torch.ones(1, requires_grad=True)
    found = text_to_image(plan(samplers["Euler"], denoise=lambda x, sigma: x * weight * 0.5))
    assert not found.requires_grad


def test_the_host_never_waits_for_a_number_while_it_samples(samplers, wavy, table):
    """Only the last look at the latents asks the device for a value."""
    asked = []

    class Watching(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if "_local_scalar_dense" in str(function):
                asked.append(function)
            return function(*args, **(kwargs or {}))

    network, denoise = wavy
    network.calls = _Forgetful()
    for sampler in samplers.values():
        asked.clear()
        with Watching():
            text_to_image(plan(sampler, denoise=denoise, options={"table": table}))
        steps_by_error = sampler.name == "DPM adaptive"  # which it has to know
        assert len(asked) <= (100 if steps_by_error else 1), sampler.name


class _Forgetful(list):
    """The network of these tests notes its timesteps, which asks for their values; not here."""

    def append(self, call):
        """Forget it."""
