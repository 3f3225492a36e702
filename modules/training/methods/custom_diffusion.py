"""Custom Diffusion: Kumari et al. 2022, arXiv:2212.04488, §3.2. Only keys and values of the cross attention learn."""

from collections.abc import Iterator
from contextlib import contextmanager

from modules.core.extension_points import TrainingMethod, hookimpl
from modules.core.training import TrainingPlan
from modules.training.learner import Learner, Model
from modules.training.own_weights import FORMATS, learning, parameters_of

LEARNING_RATE = 1e-5
LEARNING = (".attn2.to_k.weight", ".attn2.to_v.weight")  # attn2 attends to the text


@contextmanager
def prepare(model: Model, plan: TrainingPlan) -> Iterator[Learner]:
    """While inside, what the U-Net reads out of the text learns. The model keeps what it has learned.

    The text encoder stays as it is, whatever the plan says: the method is made of nothing else.
    """
    chosen = {name: one for name, one in parameters_of("unet", model.unet).items() if name.endswith(LEARNING)}
    with learning(model, plan, LEARNING_RATE, chosen, {}) as learner:
        yield learner


@hookimpl
def register_training_methods() -> list[TrainingMethod]:
    return [
        TrainingMethod(
            name="custom_diffusion",
            label="Custom Diffusion (how text is read)",
            prepare=prepare,
            formats=FORMATS,
            learning_rate=LEARNING_RATE,
            whole=True,
            note="Changes a twentieth of the model, so less is forgotten. The result is a checkpoint.",
            aliases=("custom-diffusion", "custom"),
        )
    ]
