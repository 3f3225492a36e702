"""How many tokens a prompt has, counted as the engine counts them."""

import threading
from functools import cached_property
from pathlib import Path

from modules.prompts.chunks import count
from modules.prompts.tokens import Tokenizer


class TokenCounter:
    """The live count beside the prompt. The tokenizer is read at the first question."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def count(self, text: str) -> tuple[int, int]:
        """Tokens in `text`, and how many fit into the chunks they take (75, 150, …)."""
        with self._lock:
            tokenizer = self._tokenizer
        return count(text, tokenizer)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer(self._folder)
