"""The training loop: a killed training goes on and ends with the very same bits."""

import re
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


@pytest.mark.parametrize("muon", [0.0, 0.01])
@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("killed_at", [1, 5, 11])
def test_a_killed_training_ends_with_the_same_bits(tmp_path, shards, killed_at, muon):
    whole = trained(tmp_path / "whole", shards=shards, muon=muon)

    def kill(average, step):
        if step == killed_at:
            raise Killed

    model = network()
    with pytest.raises(Killed):
        train(plan(tmp_path / "killed", shards=shards, muon=muon), model, loss_of(model), kill)
    assert same(trained(tmp_path / "killed", shards=shards, muon=muon), whole)


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
    before = float(loss(0, Generator().manual_seed(9)).detach())
    train(plan(tmp_path, steps=300, average=0.9), model, loss)
    assert float(loss(0, Generator().manual_seed(9)).detach()) < before / 4


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
    assert max(rates) == pytest.approx(1)
    assert rates[-1] < 0.2


def test_no_unfinished_file_is_left(tmp_path):
    trained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["part.checkpoint.pt"]


# A plan that became longer -----------------------------------------------------------------------------------------------


def test_the_rate_stays_and_then_falls(tmp_path):
    long = plan(tmp_path, steps=103, warmup=3, falling=0.2)
    rates = [long.rate_at(step) for step in range(103)]
    assert rates[2] == rates[50] == rates[82] == 1
    assert rates[81] > rates[90] > rates[102]
    assert rates[102] == pytest.approx(0.02, rel=0.3)


def test_a_longer_plan_goes_on_from_before_the_rate_fell(tmp_path):
    trained(tmp_path / "twice", steps=10, falling=0.3)
    assert (tmp_path / "twice" / "part.plateau.pt").exists()
    longer = trained(tmp_path / "twice", steps=20, falling=0.3)
    assert same(longer, trained(tmp_path / "once", steps=20, falling=0.3))


def test_a_plan_that_is_no_longer_does_not_go_back(tmp_path):
    first = trained(tmp_path, steps=10, falling=0.3)
    calls = []
    model = network()
    train(plan(tmp_path, steps=10, falling=0.3), model, lambda *given: calls.append(given))
    assert same(model.state_dict(), first)
    assert not calls


# A plan by the clock -----------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """A second passes whenever somebody looks."""
    seconds = iter(range(10_000))
    monkeypatch.setattr("modules.starter.loop.time.monotonic", lambda: float(next(seconds)))


def test_the_time_ends_a_plan_before_its_steps(tmp_path, clock):
    trained(tmp_path, steps=1000, seconds=60, save_seconds=1e9)
    state = torch.load(tmp_path / "part.checkpoint.pt", weights_only=True)
    assert state["step"] < 60
    assert state["elapsed"] >= 60


def test_what_is_left_is_what_the_clock_leaves(tmp_path, clock, caplog):
    with caplog.at_level("INFO", logger="modules.starter.loop"):
        trained(tmp_path, steps=100_000, seconds=600, save_seconds=1e9, log_seconds=0)
    left = [float(minutes) for minutes in re.findall(r"([\d.]+) minutes left", caplog.text)]
    assert 0 <= left[-1] < left[0] <= 10


def test_the_rate_falls_in_time(tmp_path):
    hurried = plan(tmp_path, steps=1000, seconds=100, falling=0.2)
    assert hurried.rate_at(hurried.reached(50, elapsed=50)) == 1
    assert hurried.rate_at(hurried.reached(90, elapsed=90)) == pytest.approx(0.51, abs=0.01)
    assert hurried.reached(500, elapsed=10) == 500


def test_time_that_was_spent_counts_after_a_kill(tmp_path, clock):
    def kill(average, step):
        if step == 3:
            raise Killed

    model = network()
    with pytest.raises(Killed):
        train(plan(tmp_path, steps=1000, seconds=60), model, loss_of(model), kill)
    spent = torch.load(tmp_path / "part.checkpoint.pt", weights_only=True)["elapsed"]
    assert 0 < spent < 60
    trained(tmp_path, steps=1000, seconds=60)
    assert torch.load(tmp_path / "part.checkpoint.pt", weights_only=True)["elapsed"] < 70


@pytest.mark.parametrize("falling", [1.0, 0.3])
def test_a_plan_whose_time_is_up_is_only_loaded(tmp_path, clock, falling):
    first = trained(tmp_path, steps=1000, seconds=60, falling=falling)
    steps = torch.load(tmp_path / "part.checkpoint.pt", weights_only=True)["step"]
    assert same(trained(tmp_path, steps=1000, seconds=60, falling=falling), first)
    assert torch.load(tmp_path / "part.checkpoint.pt", weights_only=True)["step"] == steps


def test_a_plan_with_more_time_goes_on_from_before_the_rate_fell(tmp_path, clock, caplog):
    trained(tmp_path, steps=1000, seconds=60, falling=0.3)
    plateau = torch.load(tmp_path / "part.plateau.pt", weights_only=True)["step"]
    with caplog.at_level("INFO", logger="modules.starter.loop"):
        trained(tmp_path, steps=1000, seconds=120, falling=0.3)
    assert f"goes on at step {plateau} of" in caplog.text
