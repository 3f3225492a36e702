"""Textual inversion files of a job: read when a prompt may name them, kept by file."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from torch import Tensor

from modules.core.errors import InvalidModelFile
from modules.core.requests import FileRecord
from modules.diffusion.embeddings import fitting, load_embedding
from modules.families.built import Built

MOST_FILES = 256

Table = Mapping[str, Tensor]  # by text encoder: (v, d)


def letters(text: str) -> str:
    """Only letters and digits, in lower case: what tokens of a name and of a prompt can agree in.

    >>> letters("My-Style_2")
    'mystyle2'
    """
    return "".join(one for one in text.casefold() if one.isalnum())


class EmbeddingFiles:
    """The embeddings that this engine may use for a job.

    `notes`: where it is said that one cannot be used. `left_out`: the paths of those.
    """

    def __init__(self, files: Sequence[FileRecord], notes: list[str], left_out: set[str]) -> None:
        self._files = [one for one in files if one.kind == "embedding"]
        self._notes, self._left_out = notes, left_out

    def named_in(self, text: str) -> list[FileRecord]:
        """Those whose name may stand in the text: a superset, cheap to find."""
        within = letters(text)
        return [one for one in self._files if letters(one.name) in within]

    def tables(self, text: str, built: Built) -> dict[str, Table]:
        """The vectors of those that may be named and fit the model, by name. What cannot be read is remarked on."""
        found: dict[str, Table] = {}
        for file in self.named_in(text):
            try:
                table = fitting(_table(file), built.encoder_widths)
            except InvalidModelFile as error:
                self._notes.append(f"{error} The embedding was left out.")
                table = {}
            if table:
                found[file.name] = table
            else:
                self._left_out.add(file.path)
        return found

    def key(self, text: str) -> tuple[object, ...]:
        """What decides about the encoding of the text beside itself."""
        return tuple((one.path, one.modified) for one in self.named_in(text))


@cache
def _held() -> "OrderedDict[tuple[object, ...], Table]":
    return OrderedDict()


def hold(file: FileRecord, table: Table) -> None:
    """Vectors that lie in no file yet, for a record that only stands for one: (v, d) by text encoder, in float32."""
    held = _held()
    held[_key(file)] = table
    if len(held) > MOST_FILES:
        held.popitem(last=False)


def _key(file: FileRecord) -> tuple[object, ...]:
    return file.path, file.modified, file.size


def _table(file: FileRecord) -> Table:
    held, key = _held(), _key(file)
    if key not in held:
        hold(file, load_embedding(Path(file.path)))
    held.move_to_end(key)
    return held[key]
