"""The training loop, in execution order, and where it stands.

It knows nothing of methods, files and pages: a `Learner` says which weights change, `Data` what to learn from, and
`on_step` hears of every step. All chance is drawn by step and picture (`training/chance.py`), so weights, the optimizer's
state, the averages and the number of steps are all there is to save (`training/state.py`).
"""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from modules.core.errors import NotFinite
from modules.core.training import TrainingNumbers, TrainingPlan
from modules.training.batch import Data
from modules.training.chance import rows
from modules.training.devices import Ranks, computing_in, memory_peak, number_for
from modules.training.ema import Average
from modules.training.learner import Learner, Model
from modules.training.modes import Flow, learning, rest
from modules.training.objective import Levels, Losses, drawn, losses, noised, target_of, weights
from modules.training.optimizers import optimizer_for, rate_of, schedule_for

OnStep = Callable[[TrainingNumbers, "Position"], object]
SMALLEST_SCALE = 1.0  # of fp16: below it the loss itself is what overflows


@dataclass(kw_only=True)
class Position:
    """Where a training stands: `step` steps done in `seconds`, and everything that remembers earlier ones."""

    learner: Learner
    optimizer: Optimizer
    scheduler: LRScheduler
    average: Average | None
    scaler: torch.amp.GradScaler
    number: torch.dtype | None
    step: int = 0
    seconds: float = 0.0

    def ema_weights(self) -> AbstractContextManager[None]:
        """Inside, the learner's parameters are the averaged ones, if the plan has an average."""
        return nullcontext() if self.average is None else self.average.instead_of(self.learner.named)


def begin(learner: Learner, plan: TrainingPlan, device: torch.device) -> Position:
    """The position before the first step. Raises InvalidRequest for an optimizer or a precision that is not there."""
    number = number_for(plan, device)
    optimizer = optimizer_for(plan, learner.groups)
    return Position(
        learner=learner,
        optimizer=optimizer,
        scheduler=schedule_for(plan, optimizer),
        average=Average(learner.named, plan.ema_decay) if plan.use_ema else None,
        scaler=torch.amp.GradScaler(device.type, enabled=number == torch.float16),
        number=number,
    )


def train(model: Model, learner: Learner, plan: TrainingPlan, data: Data, position: Position, on_step: OnStep) -> None:
    """Take the steps that are left. `on_step` may raise, or return True to end here; the weights stay as they are.

    Raises NotFinite before weights are touched, NothingLearns when a group gets no gradient, OutOfMemoryError of torch.
    """
    ranks, levels, parameters = Ranks.here(), Levels.of(model.sigmas, model.device), list(learner.named.values())
    flow, accumulated = Flow(learner.groups, plan), plan.gradient_accumulation_steps
    ranks.begin_alike(parameters)
    with learning(model, learner, plan):
        while position.step < plan.max_train_steps:
            began, found = time.monotonic(), []
            rest(learner.groups, position.step, plan.max_train_steps)
            for micro in range(accumulated):
                with computing_in(position.number, model.device):
                    batch = data.batch(position.step, micro, ranks.rank, ranks.count)
                    places = rows(plan, micro, ranks.rank, ranks.count)
                    noise, timesteps = drawn(plan, batch, position.step, places, levels)
                    x = noised(levels, batch.latents, noise, timesteps)
                    answer = model.predict(x, timesteps, batch.text, batch.vector)
                target = target_of(model.prediction, levels, batch.latents, noise, timesteps)
                each = weights(model.prediction, levels, timesteps, plan.snr_gamma)
                found.append(losses(answer, target, each, plan, batch.priors))
                position.scaler.scale(found[-1].total / accumulated).backward()
            ranks.average_gradients(parameters)
            flow.note(position.step)
            position.scaler.unscale_(position.optimizer)
            norm = nn.utils.clip_grad_norm_(parameters, plan.max_grad_norm or math.inf)
            values = _checked(ranks.mean(_means(found)), norm, position)

            position.scaler.step(position.optimizer)
            position.scaler.update()
            position.optimizer.zero_grad()
            learner.after_step()
            rate = rate_of(position.optimizer)
            position.scheduler.step()
            if position.average is not None:
                position.average.update(learner.named)
            position.step += 1
            position.seconds += time.monotonic() - began
            numbers = TrainingNumbers(
                step=position.step,
                steps=plan.max_train_steps,
                epoch=data.epoch(position.step),
                learning_rate=rate,
                seconds=position.seconds,
                memory=memory_peak(model.device),
                **values,
            )
            if on_step(numbers, position):
                return


def _means(found: list[Losses]) -> Tensor:
    """Total, instance and, with class pictures, prior loss over a step's batches: (2,) or (3,)."""
    each = [[part for part in (one.total, one.instance, one.prior) if part is not None] for one in found]
    return torch.stack([torch.stack(parts) for parts in each]).detach().mean(0)


def _checked(means: Tensor, norm: Tensor, position: Position) -> dict[str, Any]:
    """The step's numbers, waited for once. Raises NotFinite; gradients that overflow in fp16 are only scaled down."""
    total, instance, *prior, gradient = torch.cat([means, norm.detach().reshape(1)]).tolist()
    overflows = position.scaler.is_enabled() and position.scaler.get_scale() > SMALLEST_SCALE
    if not math.isfinite(total) or not (math.isfinite(gradient) or overflows):
        what = "The loss" if not math.isfinite(total) else "The gradient"
        raise NotFinite(
            f"{what} is no longer a number in step {position.step + 1}, so this step was not taken. Lower the learning "
            "rate, clip gradients at 1, or choose bf16 or no precision; the snapshots made before are fine."
        )
    return {"loss": total, "instance_loss": instance, "prior_loss": prior[0] if prior else None, "grad_norm": gradient}
