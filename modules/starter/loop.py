"""One training loop for all parts of the starter model. It may be killed at any moment and resumes bit for bit.

Every random number of step n comes from a generator seeded with n, and the learning rate is a function of n, so a
checkpoint needs only weights, their running average, the optimizer's state and the step. With a limit of time the rate
depends on the clock too, and the bits do with it.
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

from modules.starter.optimizer import Optimizer, trained

log = logging.getLogger(__name__)

LossAt = Callable[[int, Generator], Tensor]
CPU = torch.device("cpu")
CHECKPOINT = ".checkpoint.pt"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one part is trained.

    steps, seconds: it ends with whichever comes first, and the rate falls in time for it.  rate: the highest learning
    rate; muon: that of matrices, by Muon, 0 for none.  falling: the last share of the steps, in which the rate falls.
    average: decay of the running average of the weights.  gentle: see `Optimizer`.  device: where the model is while it trains.  shards: threads
    that each work out the gradient of a batch of their own; on a busy machine that is twice as fast as threads inside
    each operation, which wait for one another thousands of times per step.
    """

    name: str
    folder: Path
    steps: int
    rate: float
    seconds: float = math.inf
    muon: float = 0.0
    seed: int = 1
    shards: int = 1
    warmup: int = 100
    falling: float = 1.0
    device: torch.device = CPU
    average: float = 0.999
    gentle: str | None = None
    weight_decay: float = 0.01
    save_seconds: float = 120.0
    log_seconds: float = 15.0

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.name}{CHECKPOINT}"

    @property
    def plateau(self) -> Path:
        """The state before the rate began to fall: a plan with more steps goes on from there."""
        return self.folder / f"{self.name}.plateau.pt"

    @property
    def plateau_end(self) -> int:
        return max(self.warmup, round(self.steps * (1 - self.falling)))

    def reached(self, step: int, elapsed: float) -> int:
        """How far the plan has come, in steps: as many as were taken, or what the time says if that is more."""
        return max(step, int(self.steps * elapsed / self.seconds))

    def rate_at(self, step: int) -> float:
        """In shares of the highest: linear warm-up, then 1, then a cosine down to 0.02."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        progress = max(0, step - self.plateau_end) / max(1, self.steps - self.plateau_end)
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def taken(folder: Path) -> dict[str, int]:
    """How many steps each part in this folder has come, by its name."""
    files = {path.name.removesuffix(CHECKPOINT): path for path in sorted(folder.glob(f"*{CHECKPOINT}"))}
    return {name: torch.load(path, weights_only=True, mmap=True)["step"] for name, path in files.items()}


class Average:
    """A running average of a model's weights; its decay grows with the steps, so that early weights are forgotten."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in trained(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.weights.values()), list(trained(model).values()), share)


def save_atomically(content: dict[str, Any], path: Path) -> None:
    """Write beside the target and rename, so that a killed build never leaves half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    torch.save(content, unfinished)
    unfinished.replace(path)


def train(plan: Plan, model: nn.Module, loss_at: LossAt, on_save: Callable[[Average, int], None] | None = None) -> None:
    """Train `model` in place, ending with the averaged weights in it, on the CPU. A finished part is only loaded.

    loss_at: the loss of step n, given a generator that only step n uses.  on_save: after each checkpoint.
    """
    model.to(plan.device)
    optimizer = Optimizer(model, plan.rate, plan.muon, plan.weight_decay, plan.shards, plan.gentle)
    average = Average(model, plan.average)
    step, elapsed = _resume(plan, model, optimizer, average)
    model.train()
    began = time.monotonic() - elapsed
    reached = plan.reached(step, elapsed)
    before = reached - 1
    progress = _Progress(plan, step)
    with ThreadPoolExecutor(plan.shards, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        while reached < plan.steps:
            if plan.falling < 1 and before < plan.plateau_end <= reached:
                _save(plan.plateau, (step, elapsed), model, optimizer, average)
            loss = _one_step(plan, step, plan.rate_at(reached), optimizer, loss_at, pool)
            average.update(model, step)
            step, elapsed = step + 1, time.monotonic() - began
            before, reached = reached, plan.reached(step, elapsed)
            progress.note(step, reached, loss)
            if progress.is_time_to_save(reached):
                _save(plan.checkpoint, (step, elapsed), model, optimizer, average)
                if on_save:
                    on_save(average, step)
    model.load_state_dict(average.weights, strict=False)
    model.to(CPU).eval()


def _one_step(
    plan: Plan, step: int, share: float, optimizer: Optimizer, loss_at: LossAt, pool: ThreadPoolExecutor
) -> float:
    """One update with the mean gradient of all shards.  share: of the highest rates.  Returns the mean loss."""
    weights = optimizer.weights

    def shard(number: int) -> tuple[float, tuple[Tensor, ...]]:
        seed = (plan.seed * 10_000_019 + step) * plan.shards + number
        loss = loss_at(step * plan.shards + number, Generator().manual_seed(seed))
        return float(loss.detach()), torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)

    losses, gradients = zip(*pool.map(shard, range(plan.shards)), strict=True)
    for weight, *parts in zip(weights, *gradients, strict=True):
        weight.grad = torch.stack(parts).mean(dim=0) if len(parts) > 1 else parts[0]
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step(share, pool.map)
    return sum(losses) / len(losses)


def _save(path: Path, done: tuple[int, float], model: nn.Module, optimizer: Optimizer, average: Average) -> None:
    """done: steps and seconds."""
    states = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": average.weights}
    save_atomically({"step": done[0], "elapsed": done[1], **states}, path)


def _resume(plan: Plan, model: nn.Module, optimizer: Optimizer, average: Average) -> tuple[int, float]:
    """From the checkpoint, or, when the plan has become longer since the rate began to fall, from before that.

    Returns the steps and the seconds that it took so far.
    """
    state, before = (_read(path, plan.device) for path in (plan.checkpoint, plan.plateau))
    if state and before and before["step"] < state["step"] and _reached(plan, before) < plan.plateau_end:
        state = before
    if not state:
        return 0, 0.0
    model.load_state_dict(state["model"])
    if _reached(plan, state) < plan.steps:
        optimizer.load_state_dict(state["optimizer"])
    for name, value in state["average"].items():
        average.weights[name].copy_(value)
    log.info("%s: goes on at step %d of %d", plan.name, state["step"], plan.steps)
    return state["step"], state.get("elapsed", 0.0)


def _reached(plan: Plan, state: dict[str, Any]) -> int:
    return plan.reached(state["step"], state.get("elapsed", 0.0))


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    return torch.load(path, weights_only=True, map_location=device) if path.exists() else {}


def mixed(device: torch.device) -> torch.autocast:
    """Matrix products and convolutions in bfloat16."""
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


class _Progress:
    """One log line now and then: step, smoothed loss, speed and the time left."""

    def __init__(self, plan: Plan, step: int) -> None:
        self.plan, self.first = plan, step
        self.started = self.saved = self.logged = time.monotonic()
        self.loss = math.nan

    def note(self, step: int, reached: int, loss: float) -> None:
        if not math.isfinite(loss):
            raise FloatingPointError(f"{self.plan.name}: the loss is {loss} at step {step}; lower Plan.rate")
        self.loss = loss if math.isnan(self.loss) else self.loss * 0.98 + loss * 0.02
        now = time.monotonic()
        if now - self.logged > self.plan.log_seconds or reached >= self.plan.steps:
            speed = (step - self.first) / (now - self.started)
            share = max(0.0, 1 - reached / self.plan.steps)
            left = share * min(self.plan.steps / speed, self.plan.seconds) / 60
            line = "%s: step %d of %d, loss %.4f, %.2f steps/s, %.1f minutes left"
            log.info(line, self.plan.name, step, self.plan.steps, self.loss, speed, left)
            self.logged = now

    def is_time_to_save(self, reached: int) -> bool:
        if reached < self.plan.steps and time.monotonic() - self.saved < self.plan.save_seconds:
            return False
        self.saved = time.monotonic()
        return True
