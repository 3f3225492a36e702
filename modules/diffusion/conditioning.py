"""Text embeddings with emphasis, from chunks of 77 tokens: Radford et al. 2021, arXiv:2103.00020, as Stable Diffusion uses it."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from modules.core.errors import UnknownName

NO_MEAN = 0.01  # of the deviation


class Chunk(Protocol):
    """77 tokens, start and end included, and the weight of each."""

    @property
    def tokens(self) -> Sequence[int]: ...

    @property
    def weights(self) -> Sequence[float]: ...


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


@torch.inference_mode()
def encode(
    chunks_per_prompt: Sequence[Sequence[Chunk]], text_encoder: Any, *, clip_skip: int = 1, emphasis: str = "Original"
) -> Tensor:
    """Text embeddings (b, 77k, d) of b prompts with k chunks each, in the dtype and on the device of the encoder.

    text_encoder: a transformers CLIPTextModel.  clip_skip: 1 is its last layer, n the n-th from the end with the
    final layer norm.  Raises ValueError when the prompts have different numbers of chunks, UnknownName for emphasis.
    """
    if emphasis not in EMPHASIS:
        raise UnknownName("emphasis", emphasis)
    columns = list(zip(*chunks_per_prompt, strict=True))
    return torch.cat([_encode_one(column, text_encoder, clip_skip, EMPHASIS[emphasis]) for column in columns], dim=1)


def _encode_one(
    chunks: Sequence[Chunk], text_encoder: Any, clip_skip: int, apply: Callable[[Tensor, Tensor], Tensor] | None
) -> Tensor:
    """The k-th chunk of every prompt: (b, 77, d)."""
    tokens = torch.tensor([chunk.tokens for chunk in chunks], device=text_encoder.device)
    z = _hidden(text_encoder, tokens, clip_skip)
    plain = all(weight == 1.0 for chunk in chunks for weight in chunk.weights)
    if apply is None or plain:
        return z
    return apply(z, torch.tensor([chunk.weights for chunk in chunks], device=z.device, dtype=z.dtype))


def _hidden(text_encoder: Any, tokens: Tensor, clip_skip: int) -> Tensor:
    if clip_skip <= 1:
        return text_encoder(input_ids=tokens).last_hidden_state
    states = text_encoder(input_ids=tokens, output_hidden_states=True).hidden_states
    # transformers 5 has no `text_model` around the layers any more
    inner = getattr(text_encoder, "text_model", text_encoder)
    return inner.final_layer_norm(states[-clip_skip])
