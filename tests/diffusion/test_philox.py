"""The published vectors of Random123, and numbers that people saw on their NVIDIA cards."""

import numpy as np
import pytest
import torch

from modules.diffusion.philox import PhiloxGenerator, philox4x32

PUBLISHED = [  # counter, key, answer: kat_vectors of Random123 1.14, lines "philox4x32 10"
    ("00000000" * 4, "00000000" * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff" * 4, "ffffffff" * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a8885a308d313198a2e03707344", "a4093822299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
SEEN = [  # torch.manual_seed(0); torch.randn(…, device="cuda"), printed with four digits
    [-0.9247, -0.4253, -2.6438, 0.1452, -0.1209, -0.5797, -0.6229, -0.3284],
    [-1.0745, -0.3631, -1.6711, 2.2655, 0.3117, -0.1842, 1.2866, 1.1820],
    [-0.1271, 1.2169, 1.4353, 1.0605, -0.4941, -1.4244, -0.7244, -1.2973],
    [0.0697, -0.0074, 1.8969, 0.6878, -0.0779, -0.8373, 1.3506, -0.2879],
    [-0.5965, -0.3283, -0.9086, -0.8059, -0.7407, -0.0504, 0.5435, 1.5150],
]


def words(text):
    return [int(text[i : i + 8], 16) for i in range(0, len(text), 8)]


@pytest.mark.parametrize(("counter", "key", "answer"), PUBLISHED)
def test_the_published_vectors(counter, key, answer):
    low, high = words(key)
    found = philox4x32(tuple(np.array([word], dtype=np.uint64) for word in words(counter)), low | (high << 32))
    assert [int(word[0]) for word in found] == words(answer.replace(" ", ""))


def test_numbers_of_an_nvidia_card():
    assert torch.allclose(PhiloxGenerator(0).randn((5, 8)), torch.tensor(SEEN), atol=5.1e-5)


def test_a_number_depends_on_its_place_only_and_the_next_call_is_another():
    small, large = PhiloxGenerator(7), PhiloxGenerator(7)
    first = small.randn((4, 2, 2))
    assert torch.equal(first.flatten(), large.randn((4, 8, 8)).flatten()[:16])
    assert not torch.equal(first, small.randn((4, 2, 2)))
    assert first.dtype == torch.float32


@pytest.mark.parametrize("seed", [-1, 2**32, 2**63 + 5])
def test_the_whole_seed_counts(seed):
    assert not torch.equal(PhiloxGenerator(seed).randn((4, 4)), PhiloxGenerator(seed & 0xFFFFFFFF ^ 1).randn((4, 4)))
    assert torch.equal(PhiloxGenerator(seed).randn((4, 4)), PhiloxGenerator(seed % 2**64).randn((4, 4)))


def test_they_are_normal():
    found = PhiloxGenerator(3).randn((100_000,))
    assert torch.isfinite(found).all()
    assert abs(found.mean().item()) < 0.01
    assert found.std().item() == pytest.approx(1, abs=0.01)
    assert (found.abs() < 1.96).float().mean().item() == pytest.approx(0.95, abs=0.005)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("shape", [(4, 64, 64), (4, 96, 128)])
def test_it_is_the_noise_of_this_machines_card(shape):
    ours, theirs = PhiloxGenerator(1234), torch.Generator("cuda").manual_seed(1234)
    for _ in range(3):
        expected = torch.randn(shape, generator=theirs, device="cuda").cpu()
        assert torch.allclose(ours.randn(shape), expected, atol=1e-5)
