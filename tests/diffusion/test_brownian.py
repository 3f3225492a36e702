"""The Brownian tree against torchsde's numbers and against what a Brownian path is."""

import math
from itertools import pairwise

import pytest
import torch

from modules.diffusion.brownian import BrownianTree
from modules.diffusion.noise import Noise

SIGMAS = [14.614643, 7.0, 3.1, 1.2345678, 0.4, 0.1, 0.0291675, 0.0]
SHAPE = (4, 2, 2)
TORCHSDE = {  # torchsde 0.2.6, BrownianTree(0.0291675, zeros(4, 2, 2), 14.614643, entropy=1234): -W(a, b) / √(b - a)
    (14.614643, 7.0): [-0.20313707, -0.23696002, 0.10774208, 0.79362160],
    (7.0, 3.1): [-1.72823870, -1.30493987, -0.72825450, -1.85289252],
    (3.1, 1.2345678): [0.85922408, 0.58740962, -0.87971741, 0.17955837],
    (1.2345678, 0.4): [-0.33766496, -0.53346378, -1.01834261, -0.94662941],
    (0.1, 0.0291675): [-0.45122668, -0.80102319, -0.22347922, -1.70685148],
    (3.1, 1.9): [-0.28868595, 0.71675473, -0.77320004, -0.12113278],
    (1.9, 0.5): [1.19322157, 0.10389104, -1.17164195, -0.27081615],
}


def draw(seed):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("levels", TORCHSDE)
def test_it_is_torchsdes_path(levels):
    found = Noise([1234], SHAPE).brownian(SIGMAS)(*levels)
    assert found.flatten()[:4].tolist() == pytest.approx(TORCHSDE[levels], abs=2e-6)


def test_increments_add_up_however_they_are_asked():
    tree, other = BrownianTree(0.03, 14.6, 5, draw), BrownianTree(0.03, 14.6, 5, draw)
    parts = [tree(a, b) for a, b in pairwise([0.03, 0.5, 0.51, 7.77, 14.6])]
    assert torch.allclose(sum(parts), other(0.03, 14.6), atol=1e-5)
    backwards = [other(a, b) for a, b in reversed(list(pairwise([0.03, 0.5, 0.51, 7.77, 14.6])))]
    assert all(torch.allclose(one, two, atol=1e-5) for one, two in zip(parts, reversed(backwards), strict=True))


def test_what_fell_out_of_memory_is_worked_out_again():
    tree = BrownianTree(0.0, 10.0, 1, draw)
    first = tree(1.0, 1.1)
    for i in range(60):
        tree(2 + i / 10, 2.05 + i / 10)
    assert torch.equal(tree(1.0, 1.1), first)
    assert len(tree._kept) <= 64


def test_no_way_is_no_change_and_beyond_the_ends_there_is_nothing():
    tree = BrownianTree(1.0, 2.0, 1, draw)
    assert not tree(1.5, 1.5).any()
    assert not tree(3.0, 4.0).any()
    assert torch.equal(tree(0.0, 5.0), tree(1.0, 2.0))


@pytest.mark.parametrize("source", ["CPU", "NV", "GPU"])
def test_every_source_gives_unit_variance_and_independent_steps(source):
    brownian = Noise([3], (4, 64, 64), source).brownian(SIGMAS)
    steps = [brownian(a, b) for a, b in pairwise(SIGMAS[:-1])]
    for step in steps:
        assert step.std().item() == pytest.approx(1, abs=0.02)
        assert abs(step.mean().item()) < 0.03
    products = [(one * other).mean().item() for one, other in pairwise(steps)]
    assert max(map(abs, products)) < 0.03


def test_the_sources_differ():
    found = [Noise([3], SHAPE, source).brownian(SIGMAS)(7.0, 3.1) for source in ("CPU", "NV")]
    assert not torch.allclose(*found)


def test_a_path_is_the_same_alone_and_in_a_batch():
    batch = Noise([5, 6, 7], SHAPE).brownian(SIGMAS)(7.0, 3.1)
    alone = [Noise([seed], SHAPE).brownian(SIGMAS)(7.0, 3.1) for seed in (5, 6, 7)]
    assert torch.equal(batch, torch.cat(alone))


def test_upwards_is_the_opposite_of_downwards():
    brownian = Noise([5], SHAPE).brownian(SIGMAS)
    assert torch.equal(brownian(7.0, 3.1), -brownian(3.1, 7.0))
    assert brownian(7.0, 3.1).std().item() * math.sqrt(3.9) > 0
