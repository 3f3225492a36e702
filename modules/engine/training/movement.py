"""How far weights have moved: the proof that a training trained what it said it would."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from modules.core.errors import NothingLearned
from modules.training.learner import Learner

SAMPLES = 1 << 14  # numbers looked at in each tensor: copies of whole models would not fit


class Movement:
    """Remembers what a learner began with."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._before = {group.name: [_sample(one) for one in group.parameters] for group in learner.groups}

    def norms(self) -> dict[str, float]:
        """‖now - before‖ / ‖before‖ by group; the plain norm of what began as nothing."""
        return {group.name: self._norm(group.name, group.parameters) for group in self._learner.groups}

    def _norm(self, name: str, parameters: Sequence[nn.Parameter]) -> float:
        before = self._before[name]
        change = sum(float((_sample(now) - then).square().sum()) for now, then in zip(parameters, before, strict=True))
        size = sum(float(then.square().sum()) for then in before)
        return (change / size if size else change) ** 0.5

    def check(self) -> dict[str, float]:
        """The norms. Raises NothingLearned when what should have moved did not."""
        norms = self.norms()
        still = [one.name for one in self._learner.groups if one.learning_rate > 0 and one.stop > 0]
        if still and not any(norms[name] for name in still):
            raise NothingLearned(
                f"Nothing was learned: the weights of {' and '.join(still)} are what they were; raise the learning rate."
            )
        return norms


def _sample(parameter: Tensor) -> Tensor:
    """Numbers spread evenly over a tensor, in float32 on the CPU; the same ones each time."""
    flat = parameter.detach().flatten()
    every = max(1, flat.numel() // SAMPLES)
    return flat[::every].to("cpu", torch.float32, copy=True)
