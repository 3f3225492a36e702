"""One training loop for all parts of the starter model. It may be killed at any moment and resumes bit for bit.

Every random number of step n comes from a generator seeded with n, and the learning rate is a function of n, so a
checkpoint needs only weights, their running average, the optimizer's state and the step.
"""

import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

log = logging.getLogger(__name__)

LossAt = Callable[[int, Generator], Tensor]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one part is trained.

    rate: the highest learning rate.  average: decay of the running average of the weights.  shards: threads that each
    work out the gradient of a batch of their own; on a busy machine that is twice as fast as threads inside each
    operation, which wait for one another thousands of times per step.
    """

    name: str
    folder: Path
    steps: int
    rate: float
    seed: int = 1
    shards: int = 1
    warmup: int = 100
    average: float = 0.999
    weight_decay: float = 0.01
    save_seconds: float = 120.0
    log_seconds: float = 15.0

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.name}.checkpoint.pt"

    def rate_at(self, step: int) -> float:
        """Linear warm-up, then a cosine down to 2 % of the highest rate."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class Average:
    """A running average of a model's weights; its decay grows with the steps, so that early weights are forgotten."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in _trained(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for averaged, value in zip(self.weights.values(), _trained(model).values(), strict=True):
            averaged.lerp_(value, share)


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def save_atomically(content: dict[str, Any], path: Path) -> None:
    """Write beside the target and rename, so that a killed build never leaves half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    torch.save(content, unfinished)
    unfinished.replace(path)


def train(plan: Plan, model: nn.Module, loss_at: LossAt, on_save: Callable[[Average, int], None] | None = None) -> None:
    """Train `model` in place, ending with the averaged weights in it. A finished part is only loaded.

    loss_at: the loss of step n, given a generator that only step n uses.  on_save: after each checkpoint.
    """
    optimizer = torch.optim.AdamW(
        _trained(model).values(), lr=plan.rate, weight_decay=plan.weight_decay, betas=(0.9, 0.99)
    )
    average = Average(model, plan.average)
    step = _resume(plan, model, optimizer, average)
    model.train()
    progress = _Progress(plan, step)
    with ThreadPoolExecutor(plan.shards, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        while step < plan.steps:
            loss = _one_step(plan, step, optimizer, loss_at, pool)
            average.update(model, step)
            step += 1
            progress.note(step, loss)
            if progress.is_time_to_save(step):
                _save(plan, step, model, optimizer, average)
                if on_save:
                    on_save(average, step)
    model.load_state_dict(average.weights, strict=False)
    model.eval()


def _one_step(
    plan: Plan, step: int, optimizer: torch.optim.Optimizer, loss_at: LossAt, pool: ThreadPoolExecutor
) -> float:
    """One update with the mean gradient of all shards.  Returns the mean loss."""
    weights: list[Tensor] = []
    for group in optimizer.param_groups:
        group["lr"] = plan.rate_at(step)
        weights += group["params"]

    def shard(number: int) -> tuple[float, tuple[Tensor, ...]]:
        seed = (plan.seed * 10_000_019 + step) * plan.shards + number
        loss = loss_at(step * plan.shards + number, Generator().manual_seed(seed))
        return float(loss.detach()), torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)

    losses, gradients = zip(*pool.map(shard, range(plan.shards)), strict=True)
    for weight, *parts in zip(weights, *gradients, strict=True):
        weight.grad = torch.stack(parts).mean(dim=0) if len(parts) > 1 else parts[0]
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
    return sum(losses) / len(losses)


def _save(plan: Plan, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, average: Average) -> None:
    state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": average.weights}
    save_atomically(state, plan.checkpoint)


def _resume(plan: Plan, model: nn.Module, optimizer: torch.optim.Optimizer, average: Average) -> int:
    if not plan.checkpoint.exists():
        return 0
    state = torch.load(plan.checkpoint, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    for name, value in state["average"].items():
        average.weights[name].copy_(value)
    log.info("%s: goes on at step %d of %d", plan.name, state["step"], plan.steps)
    return state["step"]


class _Progress:
    """One log line now and then: step, smoothed loss, speed and the time left."""

    def __init__(self, plan: Plan, step: int) -> None:
        self.plan, self.first = plan, step
        self.started = self.saved = self.logged = time.monotonic()
        self.loss = math.nan

    def note(self, step: int, loss: float) -> None:
        if not math.isfinite(loss):
            raise FloatingPointError(f"{self.plan.name}: the loss is {loss} at step {step}; lower Plan.rate")
        self.loss = loss if math.isnan(self.loss) else self.loss * 0.98 + loss * 0.02
        now = time.monotonic()
        if now - self.logged > self.plan.log_seconds or step == self.plan.steps:
            speed = (step - self.first) / (now - self.started)
            left = (self.plan.steps - step) / speed / 60
            line = "%s: step %d of %d, loss %.4f, %.2f steps/s, %.1f minutes left"
            log.info(line, self.plan.name, step, self.plan.steps, self.loss, speed, left)
            self.logged = now

    def is_time_to_save(self, step: int) -> bool:
        if step < self.plan.steps and time.monotonic() - self.saved < self.plan.save_seconds:
            return False
        self.saved = time.monotonic()
        return True
