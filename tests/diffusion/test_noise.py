import pytest
import torch

from modules.core.errors import UnknownName
from modules.diffusion.noise import Noise

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
