"""Steps without a loop, and what a model answers: what the tests of methods and files share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from modules.core.training import TrainingPlan
from modules.families.built import Built
from modules.prompts.chunks import chunks
from modules.prompts.tokens import Tokenizer
from modules.training.learner import Learner
from modules.training.methods import custom_diffusion, dreambooth, lora, textual_inversion

METHODS = {
    one.name: one
    for module in (dreambooth, lora, textual_inversion, custom_diffusion)
    for one in module.register_training_methods()
}
CAPTION = "a photo of sks cat"


def text_of(model: Built, caption: str = CAPTION, vectors: Any = None, learning: bool = False) -> Any:
    """What the U-Net gets for a caption; names of `vectors` in it are embeddings."""
    counts = {name: len(next(iter(tables.values()))) for name, tables in (vectors or {}).items()}
    found = chunks(caption, _tokenizer(model), emphasis="None", embeddings=counts)
    (encoded,) = model.encode([found], embeddings=vectors, learning=learning)
    return model.text_of(encoded, width=64, height=64)


_KNOWN: dict[Any, Tokenizer] = {}


def _tokenizer(model: Built) -> Tokenizer:
    return _KNOWN.setdefault(model.tokenizer_folder, Tokenizer(model.tokenizer_folder))


def predicted(model: Built, caption: str = CAPTION, vectors: Any = None, learning: bool = False) -> Tensor:
    """The U-Net's answer to latents that are always the same."""
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    text = text_of(model, caption, vectors, learning)
    vector = None if text.vector is None else text.vector[None]
    return model.predict(x, torch.tensor([400.0]), text.states[None], vector)


def answer(model: Built, caption: str = CAPTION, vectors: Any = None) -> Tensor:
    """As `predicted`, without gradients."""
    with torch.no_grad():
        return predicted(model, caption, vectors).clone()


def learn(model: Built, learner: Learner, steps: int = 2, caption: str = CAPTION, rate: float = 1e-2) -> None:
    """A few steps of AdamW towards nothing in particular."""
    optimizer = torch.optim.AdamW(learner.named.values(), lr=rate)
    target = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    for _ in range(steps):
        optimizer.zero_grad()
        (predicted(model, caption, learner.vectors, learner.reads) - target).square().mean().backward()
        optimizer.step()


@contextmanager
def taught(model: Built, plan: TrainingPlan, steps: int = 2) -> Iterator[Learner]:
    """A learner of the plan's method after some steps."""
    with METHODS[plan.method].prepare(model, plan) as learner:
        caption = f"a photo of {plan.name}" if learner.vectors else CAPTION
        learn(model, learner, steps, caption)
        yield learner


def state_of(model: Built) -> dict[str, Any]:
    """Every weight's bytes, whose it is, its flags, each module's mode and hooks: equal means untouched."""
    found: dict[str, Any] = {}
    for part, network in model.networks.items():
        for name, one in network.named_parameters():
            found[f"{part}.{name}"] = (id(one), one.requires_grad, one.grad is None, bits(one))
        for name, module in network.named_modules():
            hooks = len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
            checkpointing = getattr(module, "gradient_checkpointing", False)
            found[f"{part}.{name}()"] = (module.training, hooks, checkpointing, "forward" in vars(module))
    return found


def bits(tensor: Tensor) -> bytes:
    return tensor.detach().numpy().tobytes()
