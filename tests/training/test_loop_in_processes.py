"""Two processes that train together are one with twice the batch."""

import multiprocessing
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from modules.core.errors import Cancelled
from modules.core.training import TrainingPlan
from modules.training.batch import Batch
from modules.training.chance import generator, rows
from modules.training.devices import Ranks, accompanied
from modules.training.loop import begin, train
from tests.training.one_weight import OneWeight

CPU = torch.device("cpu")


class Sharing(OneWeight):
    """Its pictures follow from their place in the step; a second weight learns from those of the second process only."""

    def __init__(self, plan: TrainingPlan) -> None:
        super().__init__()
        self.plan, self.rank = plan, 0
        self.rare, self.unused = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(1.0))
        group = self.learner.groups[0]
        group.parameters.extend([self.rare, self.unused])  # pyright: ignore[reportAttributeAccessIssue]
        self.learner.named = {"weight": self.unet.weight, "rare": self.rare, "unused": self.unused}

    def batch(self, step: int, micro: int = 0, rank: int = 0, ranks: int = 1) -> Batch:
        places = rows(self.plan, micro, rank, ranks)
        self.places = list(places)
        latents = [torch.randn(4, 4, 4, generator=generator(1, step, place)) for place in places]
        return Batch(latents=torch.stack(latents), text=torch.zeros(len(places), 77, 8))

    def predict(self, x: Any, timestep: Any, text: Any, vector: Any = None, concat: Any = None) -> Any:
        each = [self.rare if place == 1 else torch.ones(()) for place in self.places]
        rare = torch.stack(each) if 1 in self.places else torch.ones(len(each))
        return super().predict(x, timestep, text) * rare.view(-1, 1, 1, 1)


def trained(plan: TrainingPlan, begins_with: float = 0.5) -> tuple[list[float], list[Any]]:
    model, told = Sharing(plan), []
    with torch.no_grad():
        model.unet.weight.fill_(begins_with)
    train(model, model.learner, plan, model, begin(model.learner, plan, CPU), lambda numbers, _: told.append(numbers))
    return [one.item() for one in model.learner.named.values()], told


def second(device: torch.device, plan: TrainingPlan) -> None:
    """What the other process does; it even begins with another weight, which must not matter."""
    assert Ranks.here() == Ranks(rank=1, count=2)
    trained(plan, begins_with=7.0)


def test_their_weights_are_those_of_one_with_twice_the_batch(plan_of: Callable[..., TrainingPlan]) -> None:
    settings: dict[str, Any] = {"max_train_steps": 3, "gradient_accumulation_steps": 2, "learning_rate": 0.1}
    alone, numbers = trained(plan_of(train_batch_size=2, **settings))
    before = dict(os.environ)
    plan = plan_of(train_batch_size=1, **settings)
    with accompanied([CPU, CPU], second, plan, start="fork"):
        assert Ranks.here() == Ranks(rank=0, count=2)
        both, heard = trained(plan)
    assert both == pytest.approx(alone, rel=1e-6)
    assert both[1] != 1.0  # what only one of them has a gradient for
    assert both[2] == 1.0  # what none has one for is not decayed either
    assert [one.loss for one in heard] == pytest.approx([one.loss for one in numbers], rel=1e-5)
    assert [one.grad_norm for one in heard] == pytest.approx([one.grad_norm for one in numbers], rel=1e-5)
    assert Ranks.here() == Ranks()
    assert dict(os.environ) == before


def test_without_averaging_the_weights_are_others(plan_of: Callable[..., TrainingPlan]) -> None:
    """The control: the first process's half alone."""
    settings: dict[str, Any] = {"max_train_steps": 3, "learning_rate": 0.1}
    assert trained(plan_of(train_batch_size=2, **settings))[0] != trained(plan_of(train_batch_size=1, **settings))[0]


def test_one_process_needs_no_company() -> None:
    with accompanied([CPU], second):
        assert Ranks.here() == Ranks()


def stuck(device: torch.device) -> None:
    """A process that never takes a step."""
    time.sleep(60)


def test_whoever_leaves_early_takes_the_others_along() -> None:
    def leaves() -> None:
        with accompanied([CPU, CPU], stuck, start="fork"):
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        leaves()
    assert not multiprocessing.active_children()
    assert Ranks.here() == Ranks()
