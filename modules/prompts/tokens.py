"""CLIP's tokens, without loading torch: the web process counts with it, an engine encodes with it."""

from pathlib import Path

import tokenizers


class Tokenizer:
    """CLIP's byte-pair tokenizer from a folder with `tokenizer.json`. Safe to share between threads.

    `start`, `end`: the ids around each text.  `comma`: the id of "," as a word of its own.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.start = self._id("<|startoftext|>")
        self.end = self._id("<|endoftext|>")
        self.comma = self._id(",</w>")

    def _id(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(f"the tokenizer has no token {token!r}; it is not CLIP's")
        return found

    def encode(self, text: str) -> list[int]:
        """The ids of a text, as many as it takes, without start and end. Half of a surrogate pair is read as ?."""
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode("utf-8")
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def pieces(self, text: str) -> list[str]:
        """The tokens of a text as they are written; one that ends a word has `</w>` behind it."""
        return [self._tokenizer.id_to_token(id) or "" for id in self.encode(text)]

    def vocabulary(self) -> dict[str, int]:
        """All tokens as they are written, and their ids: the lower, the more often in the texts they were made from."""
        return self._tokenizer.get_vocab()
