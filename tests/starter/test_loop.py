"""The training loop: a killed training goes on and ends with the very same bits."""

from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn

from modules.starter.loop import Plan, train


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def loss_of(model: nn.Module):
    def loss_at(step: int, generator: Generator) -> Tensor:
        x = torch.randn(16, 4, generator=generator)
        return (model(x) - x.sum(dim=1, keepdim=True)).square().mean()

    return loss_at


def plan(folder: Path, **changes) -> Plan:
    return Plan(
        **{"name": "part", "folder": folder, "steps": 12, "rate": 0.01, "warmup": 3, "save_seconds": 0.0} | changes
    )


def trained(folder: Path, **changes) -> dict[str, Tensor]:
    model = network()
    train(plan(folder, **changes), model, loss_of(model))
    return model.state_dict()


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("killed_at", [1, 5, 11])
def test_a_killed_training_ends_with_the_same_bits(tmp_path, shards, killed_at):
    whole = trained(tmp_path / "whole", shards=shards)

    def kill(average, step):
        if step == killed_at:
            raise Killed

    model = network()
    with pytest.raises(Killed):
        train(plan(tmp_path / "killed", shards=shards), model, loss_of(model), kill)
    assert same(trained(tmp_path / "killed", shards=shards), whole)


def test_killed_between_checkpoints_it_goes_back_to_the_last_one(tmp_path):
    calls = []

    def dies(model):
        usual = loss_of(model)

        def loss_at(step, generator):
            calls.append(step)
            if len(calls) == 8:
                raise Killed
            return usual(step, generator)

        return loss_at

    model = network()
    with pytest.raises(Killed):
        train(plan(tmp_path / "a", save_seconds=0.0), model, dies(model))
    assert same(trained(tmp_path / "a"), trained(tmp_path / "b"))


def test_a_finished_part_is_only_loaded(tmp_path):
    first = trained(tmp_path)
    model = network()

    def never(step, generator):
        raise AssertionError("a finished part was trained again")

    train(plan(tmp_path), model, never)
    assert same(model.state_dict(), first)


def test_more_steps_go_on_from_a_finished_part(tmp_path):
    trained(tmp_path)
    steps = []

    def on_save(average, step):
        steps.append(step)

    model = network()
    train(plan(tmp_path, steps=14), model, loss_of(model), on_save)
    assert steps == [13, 14]


def test_it_learns(tmp_path):
    model = network()
    loss = loss_of(model)
    before = float(loss(0, Generator().manual_seed(9)))
    train(plan(tmp_path, steps=300, average=0.9), model, loss)
    assert float(loss(0, Generator().manual_seed(9))) < before / 4


def test_what_needs_no_gradient_stays_as_it_is(tmp_path):
    model = network()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    train(plan(tmp_path), model, loss_of(model))
    assert torch.equal(model[0].weight, before)


def test_a_loss_that_is_no_number_stops_the_training(tmp_path):
    model = network()
    with pytest.raises(FloatingPointError, match="step 1"):
        train(plan(tmp_path), model, lambda step, generator: model(torch.full((1, 4), float("nan"))).sum())


def test_the_rate_rises_then_falls(tmp_path):
    rates = [plan(tmp_path).rate_at(step) for step in range(12)]
    assert rates.index(max(rates)) in (2, 3)
    assert max(rates) == pytest.approx(0.01)
    assert rates[-1] < 0.002


def test_no_unfinished_file_is_left(tmp_path):
    trained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["part.checkpoint.pt"]
