"""Optimizers by name: their options, groups, and what is said when one is not there."""

from collections.abc import Callable

import pytest
import torch

from modules.core.errors import InvalidRequest
from modules.core.training import TrainingPlan
from modules.training.learner import ParameterGroup
from modules.training.optimizers import MAKERS, optimizer_for, rate_of, schedule_for

PlanOf = Callable[..., TrainingPlan]


def groups() -> list[ParameterGroup]:
    rates = {"unet": 1e-4, "text_encoder": 5e-5}
    return [
        ParameterGroup(name=name, parameters=[torch.nn.Parameter(torch.ones(2, 3))], learning_rate=rate)
        for name, rate in rates.items()
    ]


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "AdamW 8-bit"])
def test_each_takes_a_step_against_the_gradient(name: str, plan_of: PlanOf, capsys: pytest.CaptureFixture[str]) -> None:
    known = groups()
    plan = plan_of(optimizer=name, learning_rate=1.0 if name == "Prodigy" else 1e-4)
    optimizer = optimizer_for(plan, known)
    for _ in range(2):
        for group in known:
            group.parameters[0].grad = torch.ones(2, 3)
        optimizer.step()
    assert all(group.parameters[0].max().item() < 1.0 for group in known)
    assert capsys.readouterr().out == ""
    assert [one["name"] for one in optimizer.param_groups] == ["unet", "text_encoder"]


def test_adamw_has_the_plans_numbers_and_each_group_its_rate(plan_of: PlanOf) -> None:
    plan = plan_of(adam_beta1=0.8, adam_beta2=0.95, adam_weight_decay=0.1, adam_epsilon=1e-6)
    first, second = optimizer_for(plan, groups()).param_groups
    assert (first["betas"], first["weight_decay"], first["eps"]) == ((0.8, 0.95), 0.1, 1e-6)
    assert (first["lr"], second["lr"]) == (1e-4, 5e-5)


def test_prodigy_has_one_rate_because_it_refuses_others(plan_of: PlanOf) -> None:
    optimizer = optimizer_for(plan_of(optimizer="Prodigy", learning_rate=1.0), groups())
    assert [one["lr"] for one in optimizer.param_groups] == [1.0, 1.0]
    assert rate_of(optimizer) == pytest.approx(1e-6)  # what it begins with, before it has found its own


def test_adafactor_keeps_to_the_rate_that_is_asked_for(plan_of: PlanOf) -> None:
    known = groups()
    optimizer = optimizer_for(plan_of(optimizer="Adafactor", adam_weight_decay=0.0), known)
    known[0].parameters[0].grad = torch.ones(2, 3)
    optimizer.step()
    torch.testing.assert_close(known[0].parameters[0].detach(), torch.full((2, 3), 1 - 1e-4))


def test_eight_bits_need_a_package(plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InvalidRequest, match="pip install bitsandbytes"):
        optimizer_for(plan_of(optimizer="AdamW 8-bit"), groups())


def test_an_unknown_one(plan_of: PlanOf) -> None:
    with pytest.raises(InvalidRequest, match="'Lion'; there are AdamW"):
        optimizer_for(plan_of(optimizer="Lion"), groups())


def test_warm_up_raises_every_groups_rate(plan_of: PlanOf) -> None:
    plan = plan_of(lr_scheduler="constant_with_warmup", lr_warmup_steps=2)
    optimizer = optimizer_for(plan, groups())
    curve, rates = schedule_for(plan, optimizer), []
    for _ in range(3):
        rates.append([one["lr"] for one in optimizer.param_groups])
        optimizer.step()
        curve.step()
    assert rates == [[0.0, 0.0], [5e-5, 2.5e-5], [1e-4, 5e-5]]
