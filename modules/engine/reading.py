"""Prompts to what the denoiser is told at each step: parts, schedules, chunks, embeddings."""

from dataclasses import dataclass

from modules.core.requests import ImageRequest
from modules.diffusion.guided import Text, Timeline, Weighted
from modules.engine.embeddings import EmbeddingFiles, Table
from modules.engine.models import Loaded
from modules.prompts.chunks import chunks
from modules.prompts.composition import split_and
from modules.prompts.networks import cut_networks
from modules.prompts.schedule import schedule


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How texts are read for one pass with one model.

    `calls`: denoiser calls of the pass, by which prompt editing counts. `first_calls`: those of the first pass, when
    this is the second. `width`, `height`: of the pass, in pixels. `networks`: what else decides about the embedding.
    """

    loaded: Loaded
    request: ImageRequest
    embeddings: EmbeddingFiles
    calls: int
    width: int
    height: int
    first_calls: int | None = None
    networks: tuple[object, ...] = ()

    def positive(self, prompt: str) -> tuple[Weighted, ...]:
        """The parts of a prompt, each with its weight and what holds when. Equal parts share an encoding."""
        parts = split_and(cut_networks(prompt)[0])
        return tuple(Weighted(self._timeline(part.text, negative=False), part.weight) for part in parts)

    def negative(self, prompt: str) -> Timeline:
        """What to stay away from; never split at AND."""
        return self._timeline(prompt, negative=True)

    def text(self, text: str, *, negative: bool = False) -> Text:
        """The encoding of a text without schedule; the latest are kept."""
        request = self.request
        ways = (request.clip_skip, request.emphasis, request.comma_backtrack)
        key = (text, negative, self.width, self.height, ways, self.networks, self.embeddings.key(text))
        return self.loaded.remembered(key, lambda: self._encoded(text, negative))

    def _timeline(self, text: str, *, negative: bool) -> Timeline:
        intervals = schedule(text, self.calls, base_steps=self.first_calls, old=self.request.old_editing)
        return tuple((one.end_at, self.text(one.text, negative=negative)) for one in intervals)

    def _encoded(self, text: str, negative: bool) -> Text:
        request, built = self.request, self.loaded.built
        tables = self.embeddings.tables(text, built)
        parts = chunks(
            text,
            self.loaded.tokenizer,
            emphasis=request.emphasis,
            comma_backtrack=request.comma_backtrack,
            embeddings={name: _vectors(table) for name, table in tables.items()},
        )
        (encoded,) = built.encode([parts], clip_skip=request.clip_skip, emphasis=request.emphasis, embeddings=tables)
        return built.text_of(encoded, width=self.width, height=self.height, negative=negative)


def _vectors(table: Table) -> int:
    """How many places of a prompt the embedding takes."""
    return max((len(one) for one in table.values()), default=0)
