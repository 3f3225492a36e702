"""The algebra of network files against the layers it stands for, and against sums written out."""

import itertools

import pytest
import torch
from torch import nn

from modules.diffusion.networks import deltas


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def test_two_linear_layers_are_their_product():
    up, down, x = drawn(5, 3), drawn(3, 7), drawn(2, 7)
    assert torch.allclose(x @ deltas.low_rank(up, down).T, (x @ down.T) @ up.T, atol=1e-5)


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_convolution_and_a_1x1_are_one_convolution(kernel):
    up, down, x = drawn(5, 3, 1, 1), drawn(3, 4, kernel, kernel), drawn(1, 4, 6, 6)
    joined = deltas.low_rank(up, down).view(5, 4, kernel, kernel)
    expected = nn.functional.conv2d(nn.functional.conv2d(x, down, padding=kernel // 2), up)
    assert torch.allclose(nn.functional.conv2d(x, joined, padding=kernel // 2), expected, atol=1e-4)


def test_locons_three_convolutions_are_one():
    up, mid, down, x = drawn(5, 3, 1, 1), drawn(3, 3, 3, 3), drawn(3, 4, 1, 1), drawn(1, 4, 6, 6)
    joined = deltas.low_rank(up, down, mid).view(5, 4, 3, 3)
    step = nn.functional.conv2d
    assert torch.allclose(step(x, joined, padding=1), step(step(step(x, down), mid, padding=1), up), atol=1e-4)


def test_dyn_uses_the_first_ranks_only():
    up, down, mid = drawn(5, 4), drawn(4, 7), drawn(4, 4, 3, 3)
    assert torch.equal(deltas.low_rank(up, down, dyn=2), up[:, :2] @ down[:2])
    assert torch.allclose(
        deltas.low_rank(up, down, mid, dyn=2), deltas.low_rank(up[:, :2], down[:2], mid[:2, :2]), atol=1e-6
    )
    assert torch.equal(deltas.low_rank(up, down, dyn=99), deltas.low_rank(up, down))


def test_hadamard_with_cores_as_a_sum():
    r, o, i, k = 2, 3, 4, 3
    parts = {"hada_t1": drawn(r, r, k, k), "hada_t2": drawn(r, r, k, k, seed=1)}
    parts |= {"hada_w1_a": drawn(r, o), "hada_w1_b": drawn(r, i), "hada_w2_a": drawn(r, o, seed=1)}
    parts["hada_w2_b"] = drawn(r, i, seed=1)
    expected = torch.zeros(o, i, k, k)
    for a, b, y, x in itertools.product(range(o), range(i), range(k), range(k)):
        halves = [
            sum(
                parts[f"hada_t{n}"][p, q, y, x] * parts[f"hada_w{n}_a"][p, a] * parts[f"hada_w{n}_b"][q, b]
                for p, q in itertools.product(range(r), range(r))
            )
            for n in (1, 2)
        ]
        expected[a, b, y, x] = halves[0] * halves[1]
    assert torch.allclose(deltas.hadamard(parts).view(o, i, k, k), expected, atol=1e-5)


def test_kronecker_of_a_convolution_as_a_sum():
    w1, w2 = drawn(2, 3), drawn(4, 5, 3, 3)
    found = deltas.kronecker({"lokr_w1": w1, "lokr_w2": w2}).view(8, 15, 3, 3)
    for a, b, c, d in itertools.product(range(2), range(3), range(4), range(5)):
        assert torch.allclose(found[a * 4 + c, b * 5 + d], w1[a, b] * w2[c, d])


@pytest.mark.parametrize(("inputs", "axis"), [(True, 1), (False, 0)])
@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2, 2)])
def test_ia3_scales_inputs_or_outputs(inputs, axis, shape):
    weight = drawn(*shape)
    factor = drawn(shape[axis])
    found = deltas.delta({"weight": factor, "on_input": torch.tensor(inputs)}, weight)
    shaped = factor.view([-1 if place == axis else 1 for place in range(len(shape))])
    assert torch.allclose(weight + found.view(shape), weight * (1 + shaped))


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2, 2), (4, 4)])
def test_doras_magnitudes_per_output(shape):
    weight, added = drawn(*shape), drawn(*shape, seed=1)
    wanted = torch.rand(shape[0]) + 0.5
    stated = wanted.view(-1, *[1] * (len(shape) - 1))
    found = weight.flatten(1) + deltas.decomposed(weight, added.flatten(1), {"dora": stated})
    assert torch.allclose(found.norm(dim=1), wanted, atol=1e-5)
    merged = (weight + added).flatten(1)
    assert torch.allclose(nn.functional.cosine_similarity(found, merged), torch.ones(shape[0]), atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2, 2)])
def test_doras_magnitudes_per_input_as_lycoris_writes_them(shape):
    weight, added = drawn(*shape), drawn(*shape, seed=1)
    wanted = torch.rand(1, shape[1], *[1] * (len(shape) - 2)) + 0.5
    found = (weight.flatten(1) + deltas.decomposed(weight, added.flatten(1), {"dora": wanted})).view(shape)
    norms = found.transpose(0, 1).flatten(1).norm(dim=1)
    assert torch.allclose(norms, wanted.flatten(), atol=1e-5)


def test_doras_own_magnitudes_and_no_delta_change_nothing():
    weight = drawn(3, 4)
    stated = {"magnitude": weight.norm(dim=1)}
    assert torch.allclose(deltas.decomposed(weight, torch.zeros(3, 4), stated), torch.zeros(3, 4), atol=1e-6)


@pytest.mark.parametrize(
    ("parts", "rank"),
    [
        ({"down": (4, 9), "up": (3, 4)}, 4),
        ({"hada_w1_a": (9, 2), "hada_w1_b": (2, 9)}, 2),
        ({"hada_w1_a": (2, 9), "hada_w1_b": (2, 7), "hada_t1": (2, 2, 3, 3)}, 2),
        ({"lokr_w1": (2, 2), "lokr_w2_a": (9, 3), "lokr_w2_b": (3, 9)}, 3),
        ({"lokr_w1_a": (2, 5), "lokr_w1_b": (5, 2), "lokr_w2": (9, 9)}, 5),
        ({"lokr_w1": (2, 2), "lokr_w2": (9, 9)}, None),
        ({"diff": (3, 3)}, None),
    ],
)
def test_the_rank_is_read_from_the_factors(parts, rank):
    assert deltas.rank({name: torch.zeros(shape) for name, shape in parts.items()}) == rank


def test_half_precision_files_are_computed_in_full():
    up, down = drawn(64, 32).half(), drawn(32, 64).half()
    assert torch.equal(deltas.low_rank(up, down), up.float() @ down.float())


@pytest.mark.parametrize(
    "parts",
    [
        {"lokr_w1": (2000, 2000), "lokr_w2": (2000, 2000)},
        {"lokr_w1_a": (2000, 1), "lokr_w1_b": (1, 2000), "lokr_w2_a": (2000, 1), "lokr_w2_b": (1, 2000)},
        {"lokr_w1": (9, 9), "lokr_t2": (1, 1, 3, 3), "lokr_w2_a": (1, 9000), "lokr_w2_b": (1, 9000)},
        {"up": (100_000, 1), "down": (1, 100_000)},
        {"up": (100, 1), "down": (1, 100), "mid": (1, 1, 1000, 1000)},
        {"hada_w1_a": (100_000, 1), "hada_w1_b": (1, 100_000)},
        {"hada_t1": (1, 1, 999, 999), "hada_w1_a": (1, 999), "hada_w1_b": (1, 999)},
        {"diff": (999, 999)},
    ],
)
def test_a_result_larger_than_the_layer_is_refused_before_it_is_made(parts):
    drawn_parts = {name: torch.ones(shape) for name, shape in parts.items()}
    with pytest.raises(RuntimeError, match="more numbers than the layer has"):
        deltas.delta(drawn_parts, torch.ones(320, 320))
