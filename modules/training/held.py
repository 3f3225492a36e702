"""A model's flags while a method teaches it, and which learning rate goes where. What all methods share."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from modules.core.training import TrainingPlan
from modules.training.learner import Model, ParameterGroup

TEXT_ENCODERS = ("text_encoder", "text_encoder_2")
LEVEL = "text_model."  # some releases of transformers have it above the layers
UNET_GROUP, TEXT_GROUP, EMBEDDING_GROUP = "unet", "text_encoder", "embedding"


def text_encoders(model: Model) -> dict[str, Any]:
    """By attribute; in the order of `encoder_widths`."""
    found = {part: getattr(model, part) for part in TEXT_ENCODERS}
    return {part: network for part, network in found.items() if network is not None}


def parts_by_name(model: Model) -> dict[str, str]:
    """The attribute of each text encoder by its name in embedding files: {"clip_l": "text_encoder"}."""
    return dict(zip(model.encoder_widths, text_encoders(model), strict=True))


@contextmanager
def held(model: Model, plan: TrainingPlan) -> Iterator[None]:
    """While inside, no weight of the model learns by itself and every network is in evaluation mode.

    Afterwards all flags are as they were, also after an error. Gradient checkpointing (Chen et al. 2016,
    arXiv:1604.06174) is on inside when the plan asks for it; without gradients, as in previews, it costs nothing.
    """
    networks = list(model.networks.values())
    learned = [(one, one.requires_grad) for network in networks for one in network.parameters()]
    modes = [(one, one.training) for network in networks for one in network.modules()]
    checkpointing = model.unet.is_gradient_checkpointing
    try:
        for network in networks:
            network.requires_grad_(False).eval()
        if plan.gradient_checkpointing:
            model.unet.enable_gradient_checkpointing()
        yield
    finally:
        if plan.gradient_checkpointing and not checkpointing:
            model.unet.disable_gradient_checkpointing()
        for parameter, flag in learned:
            parameter.requires_grad_(flag)
            parameter.grad = None
        for module, mode in modes:
            module.training = mode


def groups_of(
    plan: TrainingPlan, usual: float, unet: Mapping[str, nn.Parameter], text: Mapping[str, nn.Parameter]
) -> tuple[ParameterGroup, ...]:
    """The U-Net's parameters at the plan's learning rate (`usual` if it names none), the text encoders' at theirs."""
    rate = plan.learning_rate or usual
    groups = [ParameterGroup(name=UNET_GROUP, parameters=list(unet.values()), learning_rate=rate)]
    if text:
        text_rate = plan.text_encoder_lr or rate / 2
        one = ParameterGroup(
            name=TEXT_GROUP,
            parameters=list(text.values()),
            learning_rate=text_rate,
            stop=plan.stop_text_encoder,
        )
        groups.append(one)
    return tuple(groups)
