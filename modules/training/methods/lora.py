"""LoRA: Hu et al. 2021, arXiv:2106.09685, §4.1. Low-rank layers learn beside the model's own, which stay as they are.

Its targets in the paper are attention's projections (§4.2); kohya's tools add feed-forward layers, LoCon (Yeh et al.
2024, arXiv:2309.14859) convolutions.
"""

import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import torch
from torch import nn

from modules.core.extension_points import TrainingMethod, hookimpl
from modules.core.training import TrainingPlan
from modules.training import lora_files
from modules.training.chance import Purpose, generator
from modules.training.held import LEVEL, groups_of, held, text_encoders
from modules.training.layers import Layer, LowRank, attached, layers_named, low_rank, merged
from modules.training.learner import Exported, Learner, Model
from modules.training.own_weights import exported

LEARNING_RATE = 1e-4
FORMATS = ("kohya", "peft", "checkpoint", "diffusers")
ATTENTION, FEED_FORWARD, ALL = "attention", "attention and feed-forward", "all linear and convolution"
IN_UNET: Mapping[str, tuple[str, ...] | None] = {
    ATTENTION: ("to_q", "to_k", "to_v", "to_out.0"),
    FEED_FORWARD: ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"),
    ALL: None,
}
# not the few layers outside the blocks: kohya's tools leave them out too, and older readers of files pass them over
BLOCKS = ("down_blocks.", "mid_block.", "up_blocks.")
IN_TEXT_ENCODER: Mapping[str, tuple[str, ...]] = {
    ATTENTION: ("q_proj", "k_proj", "v_proj", "out_proj"),
    FEED_FORWARD: ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"),
    ALL: ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"),
}


@contextmanager
def prepare(model: Model, plan: TrainingPlan) -> Iterator[Learner]:
    """While inside, the model draws as it has learned so far; the first answer is the model's own, bit for bit."""
    added = {name: _beside(name, layer, plan) for name, layer in targets(model, plan)}
    unet, text = (_parameters(added, of_unet) for of_unet in (True, False))
    with held(model, plan), attached(added):
        yield Learner(
            groups=groups_of(plan, LEARNING_RATE, unet, text),
            named={**unet, **text},
            export=partial(_export, added, dict(model.unet.config)),
            reads=bool(text),
            merged=partial(_merged, added),
        )


def targets(model: Model, plan: TrainingPlan) -> Iterator[tuple[str, Layer]]:
    """The layers that get one beside them, by part and path."""
    for name, layer in layers_named(model.unet, IN_UNET[plan.targets]):
        if name.startswith(BLOCKS):
            yield f"unet.{name}", layer
    if plan.train_text_encoder:
        for part, network in text_encoders(model).items():
            for name, layer in layers_named(network, IN_TEXT_ENCODER[plan.targets]):
                yield f"{part}.{name.removeprefix(LEVEL)}", layer


def _beside(name: str, layer: Layer, plan: TrainingPlan) -> LowRank:
    """By name, so that a layer begins alike whatever else is a target."""
    drawn = generator(plan.seed, zlib.crc32(name.encode()), Purpose.WEIGHTS)
    return low_rank(layer, plan.rank, plan.alpha, drawn)


def _parameters(added: Mapping[str, LowRank], of_unet: bool) -> dict[str, nn.Parameter]:
    chosen = {name: one for name, one in added.items() if name.startswith("unet.") == of_unet}
    return {f"{name}.{side}": getattr(one, side) for name, one in chosen.items() for side in ("down", "up")}


def _merged(added: Mapping[str, LowRank]) -> AbstractContextManager[None]:
    return merged(added)


def _export(
    added: Mapping[str, LowRank], config: Mapping[str, object], format: str, number: torch.dtype
) -> list[Exported]:
    """One file. A checkpoint is the model with the product in its weights: to be written inside `Learner.merged`."""
    if format == "kohya":
        return [Exported(kind="lora", format=format, tensors=lora_files.kohya(added, config, number))]
    if format == "peft":
        tensors, metadata = lora_files.peft(added, number)
        return [Exported(kind="lora", format=format, tensors=tensors, metadata=metadata)]
    return exported(format, number)


@hookimpl
def register_training_methods() -> list[TrainingMethod]:
    return [
        TrainingMethod(
            name="lora",
            label="LoRA (a small file beside the model)",
            prepare=prepare,
            formats=FORMATS,
            learning_rate=LEARNING_RATE,
            note="Nearly as good as DreamBooth with a file of a few megabytes that goes with other checkpoints too.",
        )
    ]
