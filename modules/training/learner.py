"""What the loop knows of a model and of a method: which weights change, how texts are read, what is saved in the end."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Model(Protocol):
    """A model in memory, as `families/built.py` builds it: see there for what each attribute and method is."""

    unet: Any
    vae: Any
    text_encoder: Any
    text_encoder_2: Any
    sigmas: tuple[float, ...]
    prediction: str
    device: torch.device
    dtype: torch.dtype
    scaling_factor: float
    latent_channels: int
    tokenizer_folder: Path

    @property
    def networks(self) -> dict[str, Any]: ...

    @property
    def encoder_widths(self) -> dict[str, int]: ...

    @property
    def downscale(self) -> int: ...

    def encode(
        self,
        chunks_per_prompt: Any,
        *,
        clip_skip: int = 1,
        embeddings: Mapping[str, Mapping[str, Tensor]] | None = None,
        learning: bool = False,
    ) -> list[Any]: ...

    def text_of(
        self,
        encoded: Any,
        *,
        width: int,
        height: int,
        crop: tuple[int, int] = (0, 0),
        original: tuple[int, int] | None = None,
    ) -> Any: ...

    def predict(
        self, x: Tensor, timestep: Tensor, text: Tensor, vector: Tensor | None = None, concat: Tensor | None = None
    ) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class ParameterGroup:
    """Parameters with one learning rate. `name`: unet, text_encoder, embedding. `stop`: the part of the steps after
    which they rest, 0 to 1."""

    name: str
    parameters: Sequence[nn.Parameter]
    learning_rate: float
    stop: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Exported:
    """One file of a result. `kind`: lora, embedding or checkpoint, which decides about its folder. `suffix`: its ending.

    `tensors` is empty for a checkpoint, of which the model itself is what is saved.
    """

    kind: str
    format: str
    tensors: Mapping[str, Tensor] = field(repr=False, default_factory=dict[str, Tensor])
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    suffix: str = ".safetensors"


@dataclass(kw_only=True)
class Learner:
    """A model while a method teaches it: the value of `TrainingMethod.prepare(model, plan)`, a context manager.

    Inside the block the model's networks draw as they have learned so far, by whatever calls them; after it they are as
    before, bit for bit, unless the method changes the model's own weights (`whole`).
    `named`: every parameter that changes, by a name that a later run of the same plan gives it too, in `groups` order.
    `vectors`: embeddings by their name in captions, then by text encoder: (v, d); the same tensors as in `named`.
    `reads`: whether texts must be encoded anew at each step, because what encodes them learns.
    `merged()`: a context in which the model's own weights hold what has been learned: there a checkpoint is written.
    `export(format, number) -> files` in one of the method's formats; `number` is what they are stored in.
    """

    groups: tuple[ParameterGroup, ...]
    named: Mapping[str, nn.Parameter]
    export: Callable[[str, torch.dtype], list[Exported]]
    vectors: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict[str, Mapping[str, Tensor]])
    reads: bool = False
    after_step: Callable[[], None] = lambda: None
    merged: Callable[[], AbstractContextManager[None]] = nullcontext
