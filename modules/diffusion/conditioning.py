"""Text embeddings with emphasis, from chunks of 77 tokens: Radford et al. 2021, arXiv:2103.00020, as Stable Diffusion uses it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from modules.core.errors import UnknownName
from modules.diffusion.embeddings import Inserted, inserting

NO_MEAN = 0.01  # of the deviation


class Chunk(Protocol):
    """77 tokens, start and end included, the weight of each, and where vectors of embeddings go."""

    @property
    def tokens(self) -> Sequence[int]: ...

    @property
    def weights(self) -> Sequence[float]: ...

    @property
    def inserted(self) -> Sequence[Inserted]: ...


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a kind of model takes from one of its text encoders.

    `layer`: which of the states after the layers, counted from the end; -1 is the last. `normed`: whether the final
    layer norm is applied to it. `skips`: whether clip skip n takes the n-th from the end instead. `pooled`: whether the
    projected state of the first end token is wanted too. `zero_padding`: tokens after the first end token are 0, which
    is what OpenCLIP was trained with.
    """

    layer: int = -1
    normed: bool = True
    skips: bool = True
    pooled: bool = False
    zero_padding: bool = False

    def with_clip_skip(self, clip_skip: int) -> "Reading":
        """This reading at another layer, if clip skip means anything to it."""
        if not self.skips:
            return self
        return Reading(layer=-max(1, clip_skip), normed=self.normed, pooled=self.pooled, zero_padding=self.zero_padding)


FIRST = Reading()  # Stable Diffusion 1.x


def multiply(z: Tensor, weights: Tensor) -> Tensor:
    """z (b, t, d), each token's vector times its weight (b, t)."""
    return z * weights.unsqueeze(-1)


def multiply_keeping_mean(z: Tensor, weights: Tensor) -> Tensor:
    """As `multiply`, then scaled so that the mean of the whole tensor is what it was.

    CLIP's mean is about a tenth of its deviation. An encoder may have one that is 0 but for chance, though; the
    quotient of two such means can be anything, -1 included, so nothing is scaled then.
    """
    weighted = multiply(z, weights)
    mean = z.mean()
    return torch.where(mean.abs() < NO_MEAN * z.std(), weighted, weighted * (mean / weighted.mean()))


EMPHASIS: dict[str, Callable[[Tensor, Tensor], Tensor] | None] = {
    "Original": multiply_keeping_mean,
    "No norm": multiply,
    "Ignore": None,
    "None": None,  # the brackets are text then: the parser was not asked at all
}


def read(
    chunks_per_prompt: Sequence[Sequence[Chunk]],
    text_encoder: Any,
    reading: Reading = FIRST,
    *,
    emphasis: str = "Original",
    vectors: Mapping[str, Tensor] | None = None,
    learning: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """States (b, 77k, d) of b prompts with k chunks each and, if wanted, the pooled ones (b, p) of their first chunks.

    Both in the dtype and on the device of the encoder, a CLIPTextModel of transformers, with projection for pooled ones.
    vectors: what stands for the embeddings that the chunks name, each (v, d).  learning: gradients flow back to the
    encoder's weights and to `vectors`; the result belongs to torch's graph.
    Raises ValueError when the prompts have different numbers of chunks, UnknownName for emphasis.
    """
    if emphasis not in EMPHASIS:
        raise UnknownName("emphasis", emphasis)
    with nullcontext() if learning else torch.inference_mode():
        found = [
            _read_column(column, text_encoder, reading, EMPHASIS[emphasis], vectors or {})
            for column in zip(*chunks_per_prompt, strict=True)
        ]
        return torch.cat([states for states, _ in found], dim=1), found[0][1]


def _read_column(
    chunks: Sequence[Chunk],
    text_encoder: Any,
    reading: Reading,
    apply: Callable[[Tensor, Tensor], Tensor] | None,
    vectors: Mapping[str, Tensor],
) -> tuple[Tensor, Tensor | None]:
    """The k-th chunk of every prompt: (b, 77, d). Emphasis leaves the pooled state alone."""
    tokens = torch.tensor([chunk.tokens for chunk in chunks], device=text_encoder.device)
    if reading.zero_padding:
        tokens = zero_padded(tokens, text_encoder.config.eos_token_id)
    with inserting(text_encoder, chunks, vectors) if vectors else nullcontext():
        answer = text_encoder(input_ids=tokens, output_hidden_states=True)
    z = _states(text_encoder, answer, reading)
    if apply is not None and any(weight != 1.0 for chunk in chunks for weight in chunk.weights):
        z = apply(z, torch.tensor([chunk.weights for chunk in chunks], device=z.device, dtype=z.dtype))
    return z, answer.text_embeds if reading.pooled else None


def zero_padded(tokens: Tensor, end: int) -> Tensor:
    """Tokens (b, 77) with 0 in place of everything behind the first end token."""
    ends = (tokens == end).long()
    behind = ends.cumsum(dim=1) - ends > 0
    return tokens.masked_fill(behind, 0)


def _states(text_encoder: Any, answer: Any, reading: Reading) -> Tensor:
    if reading.layer == -1 and reading.normed:
        return answer.last_hidden_state
    # a small model has fewer layers than may be skipped
    states = answer.hidden_states[max(reading.layer, -len(answer.hidden_states))]
    # the layers stand in `text_model` where a projection stands beside them
    return getattr(text_encoder, "text_model", text_encoder).final_layer_norm(states) if reading.normed else states
