"""Texts, weights and guidance put into the denoiser, each against the formula written out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modules.core.extension_points import Guidance
from modules.diffusion.denoiser import Inputs, denoiser_for
from modules.diffusion.guidance.cfg import cfg
from modules.diffusion.guided import Conditions, Guided, Rules, Text, Weighted, apart, held
from modules.diffusion.relay import Relay

SIGMA = 3.0
CFG = Guidance(name="CFG", combine=cfg)


def text(seed, tokens=77, vector=False):
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(tokens, 8, generator=generator)
    return Text(states, torch.randn(5, generator=generator) if vector else None)


def always(one):
    return ((1000, one),)


A, B, C, NO, NEITHER = (text(seed) for seed in range(5))
LONG = text(9, 154)


def conditions(*positive, negative=None, **more):
    """One timeline for each picture, or tuples of Weighted."""
    parts = [one if isinstance(one[0], Weighted) else (Weighted(one),) for one in positive]
    negative = [always(NO)] * len(parts) if negative is None else negative
    return Conditions(positive=parts, negative=negative, **more)


def rules(**others):
    return Rules(**({"guidance": CFG, "scale": 7.0} | others))


@pytest.fixture
def network(wavy):
    return wavy[0]


@pytest.fixture
def denoiser(network, table):
    return denoiser_for("epsilon", network, table)


@pytest.fixture
def x():
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def alone(denoiser, x):
    """D of one picture with one text."""

    def call(picture, one, sigma=SIGMA, concat=None):
        vector = None if one.vector is None else one.vector[None]
        return denoiser(x[picture : picture + 1], sigma, Inputs(one.states[None], vector, concat))

    return call


def guided(uncond, cond, scale=7.0):
    return uncond + scale * (cond - uncond)


# What holds when ---------------------------------------------------------------------------------------------------


def test_a_text_holds_while_no_more_calls_than_it_says_were_made():
    timeline = ((5, A), (7, B), (10, C))
    assert [held(timeline, call) for call in range(13)] == [A] * 6 + [B] * 2 + [C] * 5


@given(st.lists(st.integers(0, 150), min_size=1, unique=True), st.integers(0, 200))
def test_the_last_text_holds_for_ever(ends, call):
    timeline = tuple((end, text(end)) for end in sorted(ends))
    found = held(timeline, call)
    expected = [one for end, one in timeline if end >= call] or [timeline[-1][1]]
    assert found is expected[0]


def test_prompt_editing_switches_after_its_call(denoiser, network, alone, x):
    one = Guided(denoiser, conditions(((1, A), (20, B)), negative=[((0, NO), (20, NEITHER))]), rules(), 20)
    found = [one(x[:1], SIGMA) for _ in range(4)]
    expected = [(A, NO), (A, NEITHER), (B, NEITHER), (B, NEITHER)]
    for call, (positive, negative) in zip(found, expected, strict=True):
        assert torch.allclose(call, guided(alone(0, negative), alone(0, positive)), atol=1e-5)


def test_a_second_model_goes_on_where_the_first_stopped(denoiser, alone, x):
    one = Guided(denoiser, conditions(((1, A), (20, B))), rules(scale=1.0), 20, calls_done=2)
    assert torch.allclose(one(x[:1], SIGMA), alone(0, B), atol=1e-6)


def test_batches_are_built_once_for_each_set_of_texts(denoiser, x):
    alternating = tuple((call, (A, B)[call % 2]) for call in range(30))
    one = Guided(denoiser, conditions(alternating), rules(), 30)
    kept = set()
    for _ in range(30):
        one(x[:1], SIGMA)
        kept.update(id(passes) for passes in one._batches.values())
    assert len(kept) == 2


def test_only_so_many_batches_are_kept(denoiser, x):
    changing = tuple((call, text(call)) for call in range(30))
    one = Guided(denoiser, conditions(changing), rules(), 30)
    for _ in range(30):
        one(x[:1], SIGMA)
    assert len(one._batches) == 8


# Passes of the network ---------------------------------------------------------------------------------------------


def test_guidance_goes_from_uncond_through_cond(denoiser, alone, x):
    one = Guided(denoiser, conditions(always(A), always(B)), rules(), 20)
    expected = [guided(alone(0, NO), alone(0, A)), guided(alone(1, NO), alone(1, B))]
    assert torch.allclose(one(x, SIGMA), torch.cat(expected), atol=1e-5)


def test_all_texts_of_one_length_go_through_the_network_at_once(denoiser, network, x):
    Guided(denoiser, conditions(always(A), always(B)), rules(), 20)(x, SIGMA)
    assert [(shape, heard) for shape, _, heard, _ in network.calls] == [((4, 4, 8, 8), (4, 77, 8))]


def test_texts_of_other_lengths_go_separately_and_none_is_made_longer(denoiser, network, alone, x):
    one = Guided(denoiser, conditions(always(LONG), always(A), negative=[always(NO), always(LONG)]), rules(), 20)
    found = one(x, SIGMA)
    assert [(shape[0], heard[1]) for shape, _, heard, _ in network.calls] == [(2, 154), (2, 77)]
    expected = [guided(alone(0, NO), alone(0, LONG)), guided(alone(1, LONG), alone(1, A))]
    assert torch.allclose(found, torch.cat(expected), atol=1e-5)


def test_padding_makes_prompt_and_negative_of_a_picture_equally_long(denoiser, network, alone, x):
    empty = text(50)
    one = Guided(denoiser, conditions(always(LONG), always(A)), rules(pad=empty), 20)
    found = one(x, SIGMA)
    longer = Text(torch.cat([NO.states, empty.states]))
    assert torch.allclose(found[:1], guided(alone(0, longer), alone(0, LONG)), atol=1e-5)
    assert torch.allclose(found[1:], guided(alone(1, NO), alone(1, A)), atol=1e-5)  # its neighbour's length is not its


def test_passes_can_be_split_when_memory_is_short(denoiser, network, x):
    given_ = conditions(always(A), always(B))
    whole = Guided(denoiser, given_, rules(), 20)(x, SIGMA)
    network.calls.clear()
    assert torch.allclose(Guided(denoiser, given_, rules(split=True), 20)(x, SIGMA), whole, atol=1e-6)
    assert [shape[0] for shape, _, _, _ in network.calls] == [2, 2]


def test_a_picture_is_the_same_alone_and_in_a_batch(denoiser, x):
    parts = (Weighted(always(LONG), 0.7), Weighted(always(A), 0.6))
    both = Guided(denoiser, conditions(parts, always(B)), rules(), 20)(x, SIGMA)
    first = Guided(denoiser, conditions(parts), rules(), 20)(x[:1], SIGMA)
    second = Guided(denoiser, conditions(always(B)), rules(), 20)(x[1:], SIGMA)
    assert torch.allclose(both, torch.cat([first, second]), atol=1e-5)


def test_vectors_go_with_their_texts(denoiser, alone, x):
    one, other, no = (text(seed, vector=True) for seed in (1, 2, 3))
    found = Guided(denoiser, conditions(always(one), always(other), negative=[always(no)] * 2), rules(), 20)(x, SIGMA)
    expected = [guided(alone(0, no), alone(0, one)), guided(alone(1, no), alone(1, other))]
    assert torch.allclose(found, torch.cat(expected), atol=1e-5)


def test_further_channels_go_beside_every_row(denoiser, alone, x):
    beside = torch.randn(2, 5, 8, 8, generator=torch.Generator().manual_seed(8))
    found = Guided(denoiser, conditions(always(A), always(B), concat=beside), rules(), 20)(x, SIGMA)
    expected = [
        guided(alone(0, NO, concat=beside[:1]), alone(0, A, concat=beside[:1])),
        guided(alone(1, NO, concat=beside[1:]), alone(1, B, concat=beside[1:])),
    ]
    assert torch.allclose(found, torch.cat(expected), atol=1e-5)


# AND ---------------------------------------------------------------------------------------------------------------


def test_texts_joined_by_and_are_weighted_differences(denoiser, alone, x):
    parts = (Weighted(always(A), 0.8), Weighted(always(B), -0.4), Weighted(always(C)))
    found = Guided(denoiser, conditions(parts), rules(), 20)(x[:1], SIGMA)
    no = alone(0, NO)
    expected = no + 7.0 * sum(w * (alone(0, one) - no) for w, one in ((0.8, A), (-0.4, B), (1.0, C)))
    assert torch.allclose(found, expected, atol=1e-4)


def test_the_weight_of_a_single_text_counts(denoiser, alone, x):
    found = Guided(denoiser, conditions((Weighted(always(A), 1.3),)), rules(scale=1.0), 20)(x[:1], SIGMA)
    assert torch.allclose(found, guided(alone(0, NO), alone(0, A), 1.3), atol=1e-5)


def test_parts_of_other_lengths_are_continued_with_their_last_vector(denoiser, alone, x):
    parts = (Weighted(always(LONG), 0.5), Weighted(always(A), 0.5))
    found = Guided(denoiser, conditions(parts), rules(), 20)(x[:1], SIGMA)
    longer = Text(torch.cat([A.states, A.states[-1:].expand(77, -1)]))
    no = alone(0, NO)
    expected = no + 7.0 * 0.5 * (alone(0, LONG) - no + alone(0, longer) - no)
    assert torch.allclose(found, expected, atol=1e-4)


def test_pictures_of_a_batch_may_have_different_numbers_of_parts(denoiser, alone, x):
    parts = (Weighted(always(A), 0.5), Weighted(always(B), 0.5))
    found = Guided(denoiser, conditions(parts, always(C)), rules(), 20)(x, SIGMA)
    no = alone(0, NO)
    first = no + 7.0 * 0.5 * (alone(0, A) - no + alone(0, B) - no)
    assert torch.allclose(found, torch.cat([first, guided(alone(1, NO), alone(1, C))]), atol=1e-4)


def test_without_a_negative_the_first_part_stands_in_for_it(denoiser, alone, x):
    parts = (Weighted(always(A)), Weighted(always(B), 0.5))
    found = Guided(denoiser, conditions(parts, negative=[None]), rules(), 20)(x[:1], SIGMA)
    first = alone(0, A)
    assert torch.allclose(found, first + 7.0 * 0.5 * (alone(0, B) - first), atol=1e-4)


# Calls without the negative ----------------------------------------------------------------------------------------


def rows_of(denoiser, network, x, given_, sigmas=None, calls=10):
    """How many rows the network saw in each call; 2 is guidance, 1 is none."""
    one = Guided(denoiser, conditions(always(A)), given_, calls)
    for call in range(calls):
        one(x[:1], SIGMA if sigmas is None else sigmas[call])
    return [shape[0] for shape, _, _, _ in network.calls]


@pytest.mark.parametrize("negative", [[always(NO)], [None]])
def test_scale_1_needs_no_negative(denoiser, network, alone, x, negative):
    found = Guided(denoiser, conditions(always(A), negative=negative), rules(scale=1.0), 20)(x[:1], SIGMA)
    assert network.calls[0][0] == (1, 4, 8, 8)
    assert torch.equal(found, alone(0, A))


def test_guidance_in_an_interval(denoiser, network, x):
    assert rows_of(denoiser, network, x, rules(cfg_start=0.2, cfg_end=0.8)) == [1, 1, *[2] * 6, 1, 1]


def test_guidance_up_to_the_end_outlasts_the_calls_that_were_announced(denoiser, network, x):
    one = Guided(denoiser, conditions(always(A)), rules(), 2)
    for _ in range(5):
        one(x[:1], SIGMA)
    assert [shape[0] for shape, _, _, _ in network.calls] == [2] * 5


def test_skipping_early(denoiser, network, x):
    assert rows_of(denoiser, network, x, rules(skip_early=0.3)) == [1] * 4 + [2] * 6


@pytest.mark.parametrize(("every", "expected"), [(False, [2, 2, 2, 2, 2, 1, 2, 1, 2, 1]), (True, [2] * 5 + [1] * 5)])
def test_negative_guidance_minimum_sigma(denoiser, network, x, every, expected):
    sigmas = [9.0, 8.0, 7.0, 6.0, 5.0, 3.9, 3.0, 2.0, 1.0, 0.5]
    assert rows_of(denoiser, network, x, rules(s_min_uncond=4.0, ngms_all_steps=every), sigmas) == expected


def test_without_the_negative_the_estimate_is_the_texts_own(denoiser, alone, x):
    found = Guided(denoiser, conditions(always(A)), rules(skip_early=1.0), 20)(x[:1], SIGMA)
    assert torch.equal(found, alone(0, A))


def test_guidance_gets_the_options_it_names(denoiser, x):
    got = []
    names = ("x", "sigma", "guidance_rescale", "threshold_percentile")
    watching = Guidance(name="W", combine=lambda c, u, s, **options: got.append(options) or c, options=names)
    Guided(denoiser, conditions(always(A)), rules(guidance=watching, guidance_rescale=0.3), 20)(x[:1], SIGMA)
    assert list(got[0]) == list(names)
    assert got[0]["x"] is not None
    assert (got[0]["sigma"], got[0]["guidance_rescale"], got[0]["threshold_percentile"]) == (SIGMA, 0.3, 0.995)


# Editing by instruction --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_scale", [1.5, 1.0])
def test_two_scales_for_text_and_picture(denoiser, network, alone, x, image_scale):
    image = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(8))
    given_ = conditions(always(A), always(B), image=image)
    found = Guided(denoiser, given_, rules(image_scale=image_scale), 20)(x, SIGMA)
    for picture, one in ((0, A), (1, B)):
        here, blank = image[picture : picture + 1], torch.zeros(1, 4, 8, 8)
        neither = alone(picture, NO, concat=blank)
        seen, both = alone(picture, NO, concat=here), alone(picture, one, concat=here)
        expected = neither + image_scale * (seen - neither) + 7.0 * (both - seen)
        assert torch.allclose(found[picture : picture + 1], expected, atol=1e-5)


def test_editing_is_never_without_the_negative_below_the_minimum_sigma(denoiser, network, x):
    given_ = conditions(always(A), image=torch.zeros(1, 4, 8, 8))
    one = Guided(denoiser, given_, rules(s_min_uncond=99.0, ngms_all_steps=True), 20)
    one(x[:1], SIGMA)
    assert network.calls[0][0][0] == 3


# Both estimates ----------------------------------------------------------------------------------------------------


def test_both_estimates_with_a_part_of_the_scale(denoiser, alone, x):
    one = Guided(denoiser, conditions(always(A)), rules(scale=10.0, skip_early=1.0), 20)
    found, uncond = apart(one, x[:1], SIGMA, 0.25)
    assert torch.allclose(found, guided(alone(0, NO), alone(0, A), 2.5), atol=1e-5)
    assert torch.allclose(uncond, alone(0, NO), atol=1e-6)


def test_a_denoiser_without_guidance_has_one_estimate(ideal, x):
    one, other = apart(ideal(0.5), x, SIGMA, 0.1)
    assert one is other


def test_the_relay_changes_models_once(ideal, x):
    asked = []

    def then():
        asked.append(1)
        return lambda x, sigma: x * 0 + 2

    relay = Relay(lambda x, sigma: x * 0 + 1, then, 3)
    found = [relay(x, SIGMA).mean().item() for _ in range(5)]
    assert found == [1, 1, 1, 2, 2]
    assert asked == [1]
    assert apart(relay, x, SIGMA, 0.5)[0].mean().item() == 2


def test_a_relay_may_begin_with_the_second(x):
    assert Relay(lambda x, sigma: x, lambda: lambda x, sigma: x * 0, 0)(x, SIGMA).abs().max() == 0


def test_it_never_asks_the_device_for_a_value(denoiser, network, x):
    class Watching(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            asked.append(str(function))
            return function(*args, **(kwargs or {}))

    asked = []
    parts = (Weighted(((3, LONG), (9, B)), 0.7), Weighted(always(A), 0.6))
    quiet = denoiser_for("epsilon", lambda x, t, text, *more: x * text.mean(), denoiser.table)
    one = Guided(quiet, conditions(parts, always(B)), rules(s_min_uncond=2.0), 20)
    with Watching():
        for call in range(8):
            one(x, 4.0 - call / 2)
    assert asked
    assert not [name for name in asked if "_local_scalar_dense" in name]
