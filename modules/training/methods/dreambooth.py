"""DreamBooth: Ruiz et al. 2022, arXiv:2208.12242, §3. All layers of the U-Net learn, and on request the text encoders."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from modules.core.extension_points import TrainingMethod, hookimpl
from modules.core.training import TrainingPlan
from modules.training.held import text_encoders
from modules.training.learner import Learner, Model
from modules.training.own_weights import FORMATS, learning, parameters_of

LEARNING_RATE = 2e-6


@contextmanager
def prepare(model: Model, plan: TrainingPlan) -> Iterator[Learner]:
    """While inside, the whole network learns. The model keeps what it has learned."""
    text: dict[str, nn.Parameter] = {}
    if plan.train_text_encoder:
        for part, network in text_encoders(model).items():
            text |= parameters_of(part, network)
    with learning(model, plan, LEARNING_RATE, parameters_of("unet", model.unet), text) as learner:
        yield learner


@hookimpl
def register_training_methods() -> list[TrainingMethod]:
    return [
        TrainingMethod(
            name="dreambooth",
            label="DreamBooth (the whole model)",
            prepare=prepare,
            formats=FORMATS,
            learning_rate=LEARNING_RATE,
            whole=True,
            note="The best likeness, the largest result: a checkpoint of its own. Needs the most memory.",
            aliases=("full",),
        )
    ]
