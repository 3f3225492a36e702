"""Six steps are three, saving, loading into a fresh model, and three more: bit for bit (training.md 3.15)."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from modules.core.training import TrainingPlan
from modules.families.built import Built
from modules.training import state
from modules.training.learner import Learner
from modules.training.loop import begin, train

PlanOf = Callable[..., TrainingPlan]
Sitting = Callable[..., SimpleNamespace]


@pytest.fixture
def sitting(fresh: Callable[..., Built], learner_of: Callable[..., Learner], batches_of: Callable[..., Any]) -> Sitting:
    """Train until a step; with a folder, go on from it before and save into it after."""

    def run(
        plan: TrainingPlan, until: int, folder: Path | None = None, forget: bool = False, disturb: bool = False
    ) -> SimpleNamespace:
        model, losses = fresh(), []
        learner = learner_of(model, plan)
        position = begin(learner, plan, model.device)
        if folder is not None and state.load(folder, position, learner, plan) and forget:
            position.optimizer = begin(learner, plan, model.device).optimizer

        def hear(numbers: Any, _: Any) -> bool:
            losses.append(numbers.loss)
            if disturb:  # what a preview may do
                torch.manual_seed(0)
                with position.ema_weights(), torch.inference_mode():
                    model.predict(torch.randn(1, 4, 8, 8), torch.tensor([5]), torch.randn(1, 77, 32))
            return numbers.step == until

        train(model, learner, plan, batches_of(plan), position, hear)
        if folder is not None:
            state.save(folder, position, learner, plan)
        weights = {name: one.detach().clone() for name, one in learner.named.items()}
        return SimpleNamespace(weights=weights, position=position, losses=losses)

    return run


def same(one: Any, other: Any) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def settings(optimizer: str) -> dict[str, Any]:
    return {
        "max_train_steps": 6,
        "optimizer": optimizer,
        "learning_rate": 1.0 if optimizer == "Prodigy" else 1e-4,
        "use_ema": True,
        "with_prior_preservation": True,
        "lr_scheduler": "cosine",
    }


@pytest.mark.parametrize("optimizer", ["AdamW", "Prodigy"])
def test_two_sittings_are_one(optimizer: str, tmp_path: Path, sitting: Sitting, plan_of: PlanOf) -> None:
    plan = plan_of(**settings(optimizer))
    once = sitting(plan, 6)
    first = sitting(plan, 3, tmp_path)
    second = sitting(plan, 6, tmp_path)
    assert first.losses + second.losses == once.losses
    assert same(once.weights, second.weights)
    assert same(once.position.average.weights, second.position.average.weights)
    assert once.position.scheduler.state_dict() == second.position.scheduler.state_dict()
    states = [[*one.position.optimizer.state_dict()["state"].values()] for one in (once, second)]
    for one, other in zip(*states, strict=True):
        for key, value in one.items():
            assert torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key], key
    assert second.position.step == 6
    if optimizer == "AdamW":  # the control: what a trainer does that saves no optimizer
        sitting(plan, 3, tmp_path / "again")
        assert not same(once.weights, sitting(plan, 6, tmp_path / "again", forget=True).weights)


def test_previews_do_not_disturb(sitting: Sitting, plan_of: PlanOf) -> None:
    """training.md 3.15b."""
    plan = plan_of(max_train_steps=2, use_ema=True)
    assert same(sitting(plan, 2).weights, sitting(plan, 2, disturb=True).weights)
