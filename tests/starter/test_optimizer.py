"""What moves the weights: matrices by Muon, through views of the weights themselves, the rest by AdamW."""

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import pytest
import torch
from torch import nn

from modules.starter.optimizer import GENTLY, Optimizer, trained


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_in = nn.Conv2d(3, 8, 3)
        self.conv1 = nn.Conv2d(8, 16, 3)
        self.linear = nn.Linear(16, 4)


def model(layout=torch.contiguous_format):
    torch.manual_seed(0)
    return Small().to(memory_format=layout)


def stepped(network, optimizer, at_once=map, share=1.0):
    generator = torch.Generator().manual_seed(1)
    for weight in network.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)
    optimizer.step(share, at_once)
    return {name: weight.detach().clone() for name, weight in network.named_parameters()}


def test_a_step_of_a_matrix_is_orthogonal():
    network = model()
    before = network.linear.weight.detach().clone()
    after = stepped(network, Optimizer(network, 0.0, 0.01, 0.0))["linear.weight"]
    sizes = torch.linalg.svdvals(after - before) / (0.01 * 0.2 * 16**0.5)
    assert ((sizes > 0.5) & (sizes < 1.5)).all()  # five rounds of Newton and Schulz come near to 1, not to 1


def test_first_layers_and_vectors_are_left_to_adam():
    network = model()
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    after = stepped(network, Optimizer(network, 0.0, 0.01, 0.0))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"conv1.weight", "linear.weight"}


def test_without_muon_it_is_adamw():
    network, other = model(), model()
    ours = stepped(network, Optimizer(network, 0.01, 0.0, 0.1))
    adam = torch.optim.AdamW(other.parameters(), lr=0.01, weight_decay=0.1, betas=(0.9, 0.99))
    generator = torch.Generator().manual_seed(1)
    for weight in other.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)
    adam.step()
    assert all(torch.allclose(ours[name], weight, atol=1e-6) for name, weight in other.named_parameters())


def test_the_order_of_the_numbers_in_memory_changes_nothing():
    plain, last = model(), model(torch.channels_last)
    before = plain.conv1.weight.detach().clone()
    ours = [stepped(one, Optimizer(one, 0.01, 0.01, 0.1)) for one in (plain, last)]
    steps = [one["conv1.weight"] - before for one in ours]
    assert (steps[0] - steps[1]).norm() < 0.05 * steps[0].norm()  # bfloat16 inside


def test_shards_and_threads_change_nothing():
    alone, together = model(), model()
    with ThreadPoolExecutor(2) as pool:
        ours = stepped(together, Optimizer(together, 0.01, 0.01, 0.1, shards=2), pool.map)
    assert all(
        torch.equal(a, b)
        for a, b in zip(stepped(alone, Optimizer(alone, 0.01, 0.01, 0.1)).values(), ours.values(), strict=True)
    )


def test_the_share_scales_both_rates():
    network = model()
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    whole = stepped(network, Optimizer(network, 0.01, 0.01, 0.0))
    half = model()
    halved = stepped(half, Optimizer(half, 0.01, 0.01, 0.0), share=0.5)
    for name in before:
        assert torch.allclose((whole[name] - before[name]) / 2, halved[name] - before[name], atol=1e-5)


def test_what_has_learned_already_moves_more_slowly():
    network = model()
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    plain = stepped(network, Optimizer(network, 0.01, 0.01, 0.0, shards=2))
    other = model()
    gentle = stepped(other, Optimizer(other, 0.01, 0.01, 0.0, shards=2, gentle="conv"))
    for name, start in before.items():
        pace = GENTLY if name.startswith("conv") else 1.0
        assert torch.allclose(pace * (plain[name] - start), gentle[name] - start, atol=1e-6), name


def test_its_state_comes_back():
    network, other = model(), model()
    first, second = (Optimizer(one, 0.01, 0.01, 0.1, shards=2, gentle="linear") for one in (network, other))
    stepped(network, first)
    second.load_state_dict(deepcopy(first.state_dict()))
    other.load_state_dict(network.state_dict())
    assert all(
        torch.equal(a, b)
        for a, b in zip(stepped(network, first).values(), stepped(other, second).values(), strict=True)
    )


def test_the_state_of_other_shards_is_refused():
    network = model()
    with pytest.raises(ValueError, match="2 shards"):
        Optimizer(network, 0.01, 0.01, 0.1).load_state_dict(Optimizer(network, 0.01, 0.01, 0.1, shards=2).state_dict())


def test_frozen_weights_are_no_part_of_it():
    network = model().requires_grad_(False)
    network.linear.requires_grad_(True)
    assert set(trained(network)) == {"linear.weight", "linear.bias"}
    assert len(Optimizer(network, 0.01, 0.01, 0.1).weights) == 2
