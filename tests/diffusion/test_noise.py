import math

import pytest
import torch

from modules.core.errors import UnknownName
from modules.diffusion.noise import Noise, pasted, slerp
from modules.diffusion.philox import PhiloxGenerator

SHAPE = (4, 6, 5)


def test_it_is_torchs_noise_of_the_seed():
    generator = torch.Generator("cpu").manual_seed(7)
    noise = Noise([7], SHAPE)
    for _ in range(3):
        assert torch.equal(noise()[0], torch.randn(SHAPE, generator=generator))


def test_first_numbers_of_seed_0():
    first = Noise([0], (4, 8, 8))().flatten()[:4]
    assert first.tolist() == pytest.approx([-1.1258398, -1.1523602, -0.2505786, -0.4338788], abs=1e-6)


@pytest.mark.parametrize("shape", [(4, 1, 1), (4, 3, 3), (4, 16, 16), (16, 2, 2)])
def test_a_picture_gets_the_same_noise_alone_and_in_a_batch(shape):
    batch, alone = Noise([5, 6, 7], shape), [Noise([seed], shape) for seed in (5, 6, 7)]
    for _ in range(4):
        assert torch.equal(batch(), torch.cat([one() for one in alone]))


def test_draws_differ_from_one_another():
    noise = Noise([1, 2], SHAPE)
    first, second = noise(), noise()
    assert first.dtype == torch.float32
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_torchs_global_generator_is_left_alone():
    before = torch.random.get_rng_state()
    Noise([1], SHAPE)()
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**63 - 1, 2**63 + 7])
def test_every_seed_of_a_request_can_be_used(seed):
    assert torch.isfinite(Noise([seed], SHAPE)()).all()


def test_an_unknown_source_is_refused():
    with pytest.raises(UnknownName, match="CPU or NV or GPU"):
        Noise([1], SHAPE, source="TPU")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_noise_does_not_depend_on_the_device():
    assert torch.equal(Noise([1], SHAPE, device="cuda")().cpu(), Noise([1], SHAPE)())


# Sources -----------------------------------------------------------------------------------------------------------


def of(seed, shape=SHAPE):
    """torch's first numbers of a seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_nv_is_the_noise_of_an_nvidia_card_call_by_call():
    noise, generator = Noise([7, 8], SHAPE, "NV"), PhiloxGenerator(8)
    for _ in range(3):
        assert torch.equal(noise()[1], generator.randn(SHAPE))


def test_on_a_cpu_the_devices_own_numbers_are_the_cpus():
    assert torch.equal(Noise([7], SHAPE, "GPU")(), Noise([7], SHAPE)())


@pytest.mark.parametrize("source", ["CPU", "NV", "GPU"])
def test_any_source_gives_a_picture_the_same_alone_and_in_a_batch(source):
    options = {"strength": 0.4, "resize_from": (4, 5), "ensd": 3}
    batch = Noise([5, 6], SHAPE, source, subseeds=[15, 16], **options)
    alone = [Noise([seed], SHAPE, source, subseeds=[seed + 10], **options) for seed in (5, 6)]
    for _ in range(3):
        assert torch.equal(batch(), torch.cat([one() for one in alone]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_cards_own_numbers_are_drawn_on_the_card():
    generator = torch.Generator("cuda").manual_seed(7)
    expected = torch.randn(SHAPE, generator=generator, device="cuda")
    assert torch.equal(Noise([7], SHAPE, "GPU", "cuda")()[0], expected)
    assert torch.allclose(Noise([7], SHAPE, "NV", "cuda")()[0], expected, atol=1e-5)


# Variation ---------------------------------------------------------------------------------------------------------


def test_variation_moves_along_the_sphere_column_by_column():
    """Written out for one column."""
    low, high = of(1), of(2)
    found = Noise([1], SHAPE, subseeds=[2], strength=0.3)()[0]
    for channel, column in ((0, 0), (3, 4)):
        a, b = low[channel, :, column], high[channel, :, column]
        angle = math.acos((a @ b / (a.norm() * b.norm())).item())
        first, second = (math.sin(part * angle) / math.sin(angle) for part in (0.7, 0.3))
        assert torch.allclose(found[channel, :, column], first * a + second * b, atol=1e-5)


def test_the_ends_of_variation_are_the_two_seeds():
    assert torch.equal(Noise([1], SHAPE, subseeds=[2], strength=0.0)()[0], of(1))
    assert torch.allclose(Noise([1], SHAPE, subseeds=[2], strength=1.0)()[0], of(2), atol=1e-6)


def test_variation_stays_unit_noise():
    found = Noise([1], (4, 64, 64), subseeds=[2], strength=0.5)()
    assert found.std().item() == pytest.approx(1, abs=0.02)


def test_nearly_the_same_noise_is_mixed_the_wrong_way_round_as_in_the_field():
    low = of(1)
    high = low * 2
    assert torch.allclose(slerp(0.3, low, high), low * 0.3 + high * 0.7)
    assert torch.allclose(Noise([1], SHAPE, subseeds=[1], strength=0.3)()[0], low)


def test_only_the_first_noise_varies():
    varied, plain = Noise([1], SHAPE, subseeds=[2], strength=0.5), Noise([1], SHAPE)
    assert not torch.equal(varied(), plain())
    assert torch.equal(varied(), plain())


# Another size ------------------------------------------------------------------------------------------------------


def test_smaller_noise_is_put_into_the_middle():
    found = Noise([1], (4, 10, 12), resize_from=(6, 5))()[0]
    expected = of(1, (4, 10, 12))
    expected[:, 2:8, 3:8] = of(1, (4, 6, 5))
    assert torch.equal(found, expected)


def test_larger_noise_is_cut_in_the_middle():
    assert torch.equal(Noise([1], (4, 4, 6), resize_from=(8, 6))()[0], of(1, (4, 8, 6))[:, 2:6])


def test_an_odd_surplus_loses_as_much_on_either_side():
    """8 of 11 rows: 2 are cut above and 2 below, so one row keeps the noise beneath."""
    noise, onto = of(1, (1, 11, 4)), of(2, (1, 8, 4))
    found = pasted(noise, onto)
    assert torch.equal(found[:, :7], noise[:, 2:9])
    assert torch.equal(found[:, 7:], onto[:, 7:])


def test_the_same_size_changes_nothing():
    assert torch.equal(Noise([1], SHAPE, resize_from=SHAPE[1:])(), Noise([1], SHAPE)())


def test_later_draws_go_on_as_if_nothing_had_been_resized():
    resized, plain = Noise([1], SHAPE, resize_from=(3, 3)), Noise([1], SHAPE)
    resized(), plain()
    assert torch.equal(resized(), plain())


def test_variation_and_another_size_together():
    found = Noise([1], (4, 10, 12), subseeds=[2], strength=0.4, resize_from=(6, 5))()[0]
    expected = of(1, (4, 10, 12))
    expected[:, 2:8, 3:8] = slerp(0.4, of(1, (4, 6, 5)), of(2, (4, 6, 5)))
    assert torch.equal(found, expected)


# ENSD --------------------------------------------------------------------------------------------------------------


def test_noise_after_the_first_comes_from_another_seed():
    noise, other = Noise([1], SHAPE, ensd=31337), Noise([1 + 31337], SHAPE)
    assert torch.equal(noise()[0], of(1))
    for _ in range(2):
        assert torch.equal(noise(), other())


def test_a_negative_delta_may_lead_below_0():
    noise = Noise([1], SHAPE, ensd=-5)
    noise()
    assert torch.equal(noise()[0], of(-4))
