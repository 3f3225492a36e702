"""What a picture is said to show at a step: its caption or the instance prompt, its parts mixed, now and then nothing."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Generator

from modules.core.training import TrainingPlan
from modules.prompts.chunks import Chunk, chunks
from modules.prompts.tokens import Tokenizer
from modules.training.learner import Learner, Model

MOST_KEPT = 2048  # texts; in the main memory, half a megabyte each for SDXL


def drawn_caption(caption: str, plan: TrainingPlan, chance: Generator) -> str:
    """The caption of one picture at one step. As many numbers are drawn whether it is left out or not."""
    left_out = torch.rand((), generator=chance).item() < plan.caption_dropout_rate
    if plan.shuffle_caption:
        caption = shuffled(caption, plan.keep_tokens, chance)
    return "" if left_out else caption


def shuffled(caption: str, keep: int, chance: Generator) -> str:
    """Another order of the parts between commas; the first `keep` stay in place."""
    parts = [part for one in caption.split(",") if (part := one.strip())]
    order = torch.randperm(max(0, len(parts) - keep), generator=chance).tolist()
    return ", ".join([*parts[:keep], *(parts[keep + place] for place in order)])


def caption_chunk(caption: str, tokenizer: Tokenizer, vectors: Mapping[str, int]) -> Chunk:
    """The first 75 tokens of a caption, which is plain text: brackets mean nothing. `vectors`: embeddings by name."""
    return chunks(caption, tokenizer, emphasis="None", comma_backtrack=0, embeddings=vectors)[0]


class Texts:
    """Captions as the U-Net reads them: each encoded once, unless what encodes them learns."""

    def __init__(self, model: Model, learner: Learner, tokenizer: Tokenizer) -> None:
        self._model, self._learner, self._tokenizer = model, learner, tokenizer
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._vectors = {name: max(map(len, tables.values())) for name, tables in learner.vectors.items()}

    def encoded(self, captions: Sequence[str]) -> list[Any]:
        """Each caption's text, see `families/built.py` Encoded: with gradients if the learner reads, else kept."""
        chunked = [[caption_chunk(one, self._tokenizer, self._vectors)] for one in captions]
        if self._learner.reads:
            return self._model.encode(chunked, embeddings=self._learner.vectors, learning=True)
        for caption, chunk in zip(captions, chunked, strict=True):
            if caption not in self._kept:
                with torch.autocast(self._model.device.type, enabled=False):  # the same whoever asks, and when
                    (one,) = self._model.encode([chunk], embeddings=self._learner.vectors)
                self._kept[caption] = _own(one)
            self._kept.move_to_end(caption)
        found = [self._kept[caption] for caption in captions]
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return found


def _own(encoded: Any) -> Any:
    """A copy in the main memory that gradients may pass by: it was encoded in inference mode."""
    pooled = None if encoded.pooled is None else encoded.pooled.clone().cpu()
    return replace(encoded, states=encoded.states.clone().cpu(), pooled=pooled)
