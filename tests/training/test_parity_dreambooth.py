"""One step against the formulas of diffusers' `train_dreambooth.py`, which is built from diffusers' own parts here.

The same latents, noise, timesteps and texts go in; loss, every gradient and the weights after AdamW come out.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers.optimization import get_scheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor
from torch.nn.functional import mse_loss

from modules.core.training import TrainingNumbers, TrainingPlan
from modules.families.built import Built
from modules.training.chance import rows
from modules.training.learner import Learner
from modules.training.loop import begin, train
from modules.training.objective import Levels, drawn

PlanOf = Callable[..., TrainingPlan]
Gradients = dict[str, Tensor]


def scheduler_of(model: Built) -> Any:
    predicts: Any = model.prediction
    return DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        num_train_timesteps=1000,
        prediction_type=predicts,
        clip_sample=False,
    )


def theirs(model: Built, plan: TrainingPlan, batches: Any, weigh: bool = False) -> Tensor:
    """Their loss: one pass of the U-Net on both halves, chunks, mse + λ mse; gradients stay in the parameters."""
    scheduler, batch = scheduler_of(model), batches.batch(0)
    noise, timesteps = drawn(plan, batch, 0, rows(plan, 0), Levels.of(model.sigmas))
    noisy = scheduler.add_noise(batch.latents, noise, timesteps)
    answer = model.unet(noisy, timesteps, batch.text, return_dict=False)[0]
    velocity = model.prediction == "v_prediction"
    target = scheduler.get_velocity(batch.latents, noise, timesteps) if velocity else noise
    halves = 2 if batch.priors else 1
    answers, targets, times = (torch.chunk(one, halves, dim=0) for one in (answer, target, timesteps))
    each = [
        mse_loss(one.float(), other.float(), reduction="none").mean(dim=(1, 2, 3))
        for one, other in zip(answers, targets, strict=True)
    ]
    if weigh:  # as it is meant, on each half by its own timesteps
        each = [loss * _min_snr(scheduler, time, plan.snr_gamma) for loss, time in zip(each, times, strict=True)]
    loss = each[0].mean() + (plan.prior_loss_weight * each[1].mean() if batch.priors else 0)
    loss.backward()
    return loss.detach()


def _min_snr(scheduler: Any, timesteps: Tensor, gamma: float) -> Tensor:
    from diffusers.training_utils import compute_snr

    snr = compute_snr(scheduler, timesteps)
    capped = torch.stack([snr, gamma * torch.ones_like(snr)], dim=1).min(dim=1)[0]
    return capped / (snr + 1 if scheduler.config.prediction_type == "v_prediction" else snr)


@pytest.fixture
def ours(
    fresh: Callable[..., Built], learner_of: Callable[..., Learner], batches_of: Callable[..., Any]
) -> Callable[..., SimpleNamespace]:
    """One step of our loop: its numbers, the gradients the optimizer was given, and the weights afterwards."""

    def step(plan: TrainingPlan, family: str = "sd1") -> SimpleNamespace:
        model, told = fresh(family), []
        learner = learner_of(model, plan)
        position = begin(learner, plan, model.device)
        seen: Gradients = {}
        position.optimizer.register_step_pre_hook(
            lambda *_: seen.update({name: one.grad.clone() for name, one in learner.named.items()})  # pyright: ignore[reportOptionalMemberAccess]
        )
        batches = batches_of(plan, model.unet.config.cross_attention_dim)
        train(model, learner, plan, batches, position, lambda numbers, _: told.append(numbers))
        return SimpleNamespace(model=model, numbers=told[0], gradients=seen, learner=learner, batches=batches)

    return step


CASES = [
    ("sd1", {}),
    ("sd1", {"with_prior_preservation": True, "train_batch_size": 2, "prior_loss_weight": 0.7}),
    ("sd1", {"with_prior_preservation": True, "snr_gamma": 5.0}),
    ("sd2-v", {"with_prior_preservation": True, "snr_gamma": 5.0, "train_batch_size": 2}),
    ("sd2-v", {"noise_offset": 0.1}),
]


@pytest.mark.parametrize(("family", "settings"), CASES)
def test_loss_and_gradients_are_those_of_diffusers(
    family: str, settings: dict[str, Any], ours: Callable[..., SimpleNamespace], fresh: Any, plan_of: PlanOf
) -> None:
    """training.md 3.1, 3.1c: loss within 1e-6, each gradient within 2e-5 of its size."""
    plan = plan_of(max_train_steps=1, max_grad_norm=0.0, **settings)
    found, model = ours(plan, family), fresh(family)
    model.unet.requires_grad_(True).train()
    loss = theirs(model, plan, found.batches, weigh=bool(plan.snr_gamma))
    assert found.numbers.loss == pytest.approx(float(loss), rel=1e-6)
    reference = {f"unet.{name}": one.grad for name, one in model.unet.named_parameters()}
    assert reference.keys() == found.gradients.keys()
    for name, gradient in found.gradients.items():
        assert (gradient - reference[name]).norm() <= 2e-5 * reference[name].norm() + 1e-9, name
    norm = torch.stack([one.norm() for one in reference.values()]).norm()
    assert found.numbers.grad_norm == pytest.approx(float(norm), rel=1e-5)


def test_a_loss_without_the_class_pictures_weight_is_another(
    ours: Callable[..., SimpleNamespace], fresh: Any, plan_of: PlanOf
) -> None:
    """The control: λ left out, or the other half's timesteps in the weights, is found by the test above."""
    plan = plan_of(max_train_steps=1, with_prior_preservation=True, prior_loss_weight=0.5, snr_gamma=5.0)
    found, model = ours(plan).numbers, fresh()
    model.unet.requires_grad_(True)
    assert found.loss == pytest.approx(found.instance_loss + 0.5 * found.prior_loss, rel=1e-6)
    assert abs(found.loss - found.instance_loss - found.prior_loss) > 1e-3
    assert abs(found.loss - float(theirs(model, plan, ours(plan).batches, weigh=False))) > 1e-3


def test_the_weights_after_one_step_of_adamw(ours: Callable[..., SimpleNamespace], fresh: Any, plan_of: PlanOf) -> None:
    """training.md 3.1b: learning rate 5e-6, weight decay 1e-2, clip at 1."""
    plan = plan_of(max_train_steps=1, learning_rate=5e-6, with_prior_preservation=True)
    found, model = ours(plan), fresh()
    model.unet.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(model.unet.parameters(), lr=5e-6, betas=(0.9, 0.999), weight_decay=1e-2, eps=1e-8)
    theirs(model, plan, found.batches)
    torch.nn.utils.clip_grad_norm_(model.unet.parameters(), 1.0)
    optimizer.step()
    for name, one in model.unet.named_parameters():
        difference = (found.learner.named[f"unet.{name}"] - one).abs()
        assert difference.max() <= 2.1 * 5e-6, name
        assert difference.mean() <= 0.05 * 5e-6, name


@pytest.mark.parametrize("name", ["constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial"])
def test_the_learning_rate_over_the_steps(name: str, plan_of: PlanOf) -> None:
    """B39: warm-up, cycles and power as diffusers has them, counted in optimizer steps whatever is accumulated."""
    settings = {"lr_warmup_steps": 3, "lr_num_cycles": 2, "lr_power": 2.0, "max_train_steps": 12}
    plan = plan_of(lr_scheduler=name, gradient_accumulation_steps=2, learning_rate=1e-3, **settings)
    model = _one_weight()
    position = begin(model.learner, plan, torch.device("cpu"))
    told: list[TrainingNumbers] = []
    train(model, model.learner, plan, model, position, lambda numbers, _: told.append(numbers))
    reference = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    curve = get_scheduler(name, reference, num_warmup_steps=3, num_training_steps=12, num_cycles=2, power=2.0)
    rates = []
    for _ in range(12):
        rates.append(curve.get_last_lr()[0])
        reference.step()
        curve.step()
    assert [one.learning_rate for one in told] == rates
    assert len(set(rates)) > 2


def _one_weight() -> Any:
    """A model whose U-Net is one number, for what is not about networks."""
    from tests.training.one_weight import OneWeight

    return OneWeight()
