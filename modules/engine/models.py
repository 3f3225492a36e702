"""Which model is in memory: load, keep, replace. The one owner of it in an engine."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from modules.core.errors import InvalidModelFile, NoModel
from modules.core.extension_points import Family
from modules.core.named import Names
from modules.core.requests import ImageRequest, ModelRecord
from modules.core.tensorfile import read_header
from modules.diffusion.conditioning import encode
from modules.engine.memory import give_back
from modules.families import colours
from modules.families.built import BuildOptions, Built, LatentColours
from modules.families.recognise import family_of
from modules.prompts.chunks import chunks
from modules.prompts.tokens import Tokenizer

MOST_TEXTS = 64


@dataclass
class Loaded:
    """A model in memory, and what it has worked out already that can be used again."""

    record: ModelRecord
    built: Built
    tokenizer: Tokenizer
    texts: "OrderedDict[tuple[object, ...], Tensor]" = field(default_factory=OrderedDict, repr=False)
    fitted_colours: LatentColours | None = None

    def embedding(self, text: str, request: ImageRequest) -> Tensor:
        """The embedding (1, 77k, d) of a prompt as this request wants it; the latest ones are kept."""
        key = (text, request.clip_skip, request.emphasis, request.comma_backtrack)
        if key not in self.texts:
            self.texts[key] = self._encoded(text, request)
            if len(self.texts) > MOST_TEXTS:
                self.texts.popitem(last=False)
        self.texts.move_to_end(key)
        return self.texts[key]

    def _encoded(self, text: str, request: ImageRequest) -> Tensor:
        parts = chunks(text, self.tokenizer, emphasis=request.emphasis, comma_backtrack=request.comma_backtrack)
        return encode([parts], self.built.text_encoder, clip_skip=request.clip_skip, emphasis=request.emphasis)

    @property
    def colours(self) -> LatentColours:
        """How its latents look: as its file says, else worked out on first use."""
        if self.built.colours is not None:
            return self.built.colours
        if self.fitted_colours is None:
            self.fitted_colours = colours.fitted(self.built)
        return self.fitted_colours


@cache
def _tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer(folder)


class Models:
    """Loads checkpoints through the families that plugins registered; at most one is in memory."""

    def __init__(
        self, families: Names[Family], options: BuildOptions, loaded: Callable[[Loaded], None] = lambda one: None
    ) -> None:
        self._families, self._options, self._tell = families, options, loaded
        self.current: Loaded | None = None

    def holds(self, record: ModelRecord) -> bool:
        """Whether this very file, unchanged, is in memory."""
        held = self.current
        return held is not None and _identity(held.record) == _identity(record)

    def get(self, record: ModelRecord | None) -> Loaded:
        """This model, loaded if it is not. Raises NoModel, or InvalidModelFile with the current model still in memory."""
        if record is None:
            raise NoModel(
                "there is no checkpoint to draw with; put one into models/Stable-diffusion and refresh the list"
            )
        if self.current is None or not self.holds(record):
            self.current = self._load(record)
            self._tell(self.current)
        self.current.record = record  # the same file, but by now its hash may be known
        return self.current

    def _load(self, record: ModelRecord) -> Loaded:
        path = Path(record.path)
        if not path.is_file():
            raise InvalidModelFile(f"{path.name} is not there any more; refresh the list of models.")
        family = family_of(read_header(path).shapes, self._families.values(), path.name)
        if self._options.device.type != "cpu" and self._options.memory == "normal":
            self._make_room(path)
        built: Built = family.build(path, self._options)
        return Loaded(record=record, built=built, tokenizer=_tokenizer(built.tokenizer_folder))

    def _make_room(self, path: Path) -> None:
        """Let the current model go first where both would not fit; it is read again should the new one turn out broken."""
        free, _ = torch.cuda.mem_get_info(self._options.device)
        if free < 1.2 * path.stat().st_size:
            self.unload()

    def unload(self) -> None:
        """Give the memory back."""
        self.current = None
        give_back(self._options.device)


def _identity(record: ModelRecord) -> tuple[str, int, int]:
    return record.path, record.modified, record.size
