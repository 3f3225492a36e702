"""A model while it learns: which weights have gradients, training mode, gradient checkpointing. All comes back after."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from modules.core.errors import NothingLearns
from modules.core.training import TrainingPlan
from modules.training.learner import Learner, Model, ParameterGroup

PATIENT_STEPS = 20  # a caption that is left out may hide an embedding from the first steps
TEXT_ENCODERS = ("text_encoder", "text_encoder_2")


@contextmanager
def learning(model: Model, learner: Learner, plan: TrainingPlan) -> Generator[None, None, None]:
    """Only the learner's parameters have gradients inside; the U-Net, and encoders that texts are read with at each step,
    are in training mode."""
    networks: list[Any] = [model.unet]
    if learner.reads:
        networks += [network for part, network in model.networks.items() if part in TEXT_ENCODERS]
    everything = [one for network in model.networks.values() for one in network.parameters()]
    needed = [(one, one.requires_grad) for one in [*everything, *learner.named.values()]]
    modes = [(module, module.training) for network in networks for module in network.modules()]
    try:
        for one in everything:
            one.requires_grad_(False)
        for one in learner.named.values():
            one.requires_grad_(True)
        for network in networks:
            network.train()
        with _checkpointing(networks if plan.gradient_checkpointing else ()):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        for one, need in needed:
            one.requires_grad_(need)
            one.grad = None


@contextmanager
def _checkpointing(networks: Sequence[Any]) -> Generator[None, None, None]:
    """Activations are computed again on the way back instead of kept: Chen et al. 2016, arXiv:1604.06174."""
    flags = [
        (module, module.gradient_checkpointing)
        for network in networks
        for module in network.modules()
        if hasattr(module, "gradient_checkpointing")
    ]
    try:
        for network in networks:
            # transformers' word, then diffusers'
            switch = getattr(network, "activation_checkpointing_enable", None) or network.enable_gradient_checkpointing
            switch()
        yield
    finally:
        for module, flag in flags:
            module.gradient_checkpointing = flag


def rest(groups: Sequence[ParameterGroup], step: int, steps: int) -> None:
    """Let groups whose part of the steps is over rest: without a gradient an optimizer neither moves nor decays them."""
    for group in groups:
        if rests(group, step, steps):
            for one in group.parameters:
                one.requires_grad_(False)
                one.grad = None


def rests(group: ParameterGroup, step: int, steps: int) -> bool:
    """Whether a group does not learn in the step after `step` steps of `steps`."""
    return group.stop < 1 and step >= group.stop * steps


class Flow:
    """Watches that a gradient reaches every group in the first step. Training would "work" without, and change nothing."""

    def __init__(self, groups: Sequence[ParameterGroup], plan: TrainingPlan) -> None:
        self.waiting, self.steps = list(groups), plan.max_train_steps
        self.patience = min(PATIENT_STEPS, plan.max_train_steps) if plan.caption_dropout_rate else 1

    def note(self, step: int) -> None:
        """Look at the gradients of the step after `step` steps. Raises NothingLearns with the name of a group."""
        if not self.waiting:
            return
        self.patience -= 1
        self.waiting = [one for one in self.waiting if not (rests(one, step, self.steps) or _flows(one.parameters))]
        if self.waiting and self.patience <= 0:
            raise NothingLearns(
                f"No gradient reaches {self.waiting[0].name.replace('_', ' ')}: what it should learn does not change the "
                "pictures at all. Check that the captions contain its word, or choose another method."
            )


def _flows(parameters: Sequence[nn.Parameter]) -> bool:
    return any(one.grad is not None and bool(one.grad.any()) for one in parameters)
