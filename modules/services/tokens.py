"""How many tokens a prompt has, counted as the engine counts them."""

import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from modules.prompts.counting import longest_count
from modules.prompts.tokens import Tokenizer


def _none() -> Mapping[str, int]:
    return {}


class TokenCounter:
    """The live count beside the prompt. The tokenizer is read at the first question.

    `embeddings`: the textual inversions there are, by name, with the number of their vectors.
    """

    def __init__(self, folder: Path, embeddings: Callable[[], Mapping[str, int]] = _none) -> None:
        self._folder = folder
        self._embeddings = embeddings
        self._lock = threading.Lock()

    def count(self, text: str, *, steps: int = 20, positive: bool = True) -> tuple[int, int]:
        """Tokens of the longest text in any of the steps, and how many fit into the chunks it takes (75, 150, …)."""
        return longest_count(text, self.tokenizer, steps=steps, positive=positive, embeddings=self._embeddings())

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer itself."""
        with self._lock:
            return self._tokenizer

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer(self._folder)
