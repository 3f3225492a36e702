"""Teaching a model's own weights: what DreamBooth and Custom Diffusion share. They differ in which weights learn."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from modules.core.training import TrainingPlan
from modules.training.held import LEVEL, groups_of, held
from modules.training.learner import Exported, Learner, Model

FORMATS = ("checkpoint", "diffusers")


def parameters_of(part: str, network: nn.Module) -> dict[str, nn.Parameter]:
    """All of a network's, by the name of the part and their own."""
    return {f"{part}.{name.removeprefix(LEVEL)}": one for name, one in network.named_parameters()}


@contextmanager
def learning(
    model: Model, plan: TrainingPlan, usual: float, unet: Mapping[str, nn.Parameter], text: Mapping[str, nn.Parameter]
) -> Iterator[Learner]:
    """While inside, these parameters learn; they keep what they have learned afterwards."""
    named = {**unet, **text}
    narrow = next((name for name, one in named.items() if one.dtype != torch.float32), None)
    assert narrow is None, f"{narrow} must be held in 32 bits: smaller steps than its numbers can tell would be lost"
    with held(model, plan):
        for one in named.values():
            one.requires_grad_(True)
        yield Learner(groups=groups_of(plan, usual, unet, text), named=named, export=exported, reads=bool(text))


def exported(format: str, _number: torch.dtype) -> list[Exported]:
    """The model itself: in one file or as a folder of diffusers. Whoever writes it chooses the numbers."""
    if format not in FORMATS:
        raise ValueError(f"a whole model is saved as {' or '.join(FORMATS)}, not as {format!r}")
    return [Exported(kind="checkpoint", format=format, suffix=".safetensors" if format == "checkpoint" else "")]
