"""Which models are in memory: load, keep, move, let go. The one owner of them in an engine."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import torch

from modules.core.errors import InvalidModelFile, NoModel
from modules.core.extension_points import Family
from modules.core.named import Names
from modules.core.requests import FileRecord, ModelRecord
from modules.engine.memory import give_back
from modules.families import colours
from modules.families.built import BuildOptions, Built, LatentColours
from modules.families.folder import shapes_of
from modules.families.recognise import family_of
from modules.prompts.tokens import Tokenizer

MOST_TEXTS = 64
MOST_VAES = 2
FULL = "Disable"  # of ImageRequest.fp8
ROOM = 1.2  # times the file's size that must be free before a second model is loaded beside the first


@dataclass
class Loaded:
    """A model in memory, and what it has worked out already that can be used again."""

    record: ModelRecord
    built: Built
    tokenizer: Tokenizer
    texts: "OrderedDict[tuple[object, ...], Any]" = field(default_factory=OrderedDict, repr=False)
    fitted_colours: LatentColours | None = None

    def remembered(self, key: tuple[object, ...], work: Callable[[], Any]) -> Any:
        """What `work` answers for this key; the latest answers are kept."""
        if key not in self.texts:
            self.texts[key] = work()
            if len(self.texts) > MOST_TEXTS:
                self.texts.popitem(last=False)
        self.texts.move_to_end(key)
        return self.texts[key]

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
    """Loads checkpoints through the families that plugins registered.

    Up to `limit` stay in memory as long as there is room; the one used longest ago goes first. On a GPU the ones that
    are not used wait in main memory. `loaded` is told each model that was read from disk. `compiled`: whoever draws
    shall compile the blocks that repeat.
    """

    def __init__(
        self,
        families: Names[Family],
        options: BuildOptions,
        loaded: Callable[[Loaded], None] = lambda one: None,
        limit: int = 1,
        compiled: bool = False,
    ) -> None:
        self._families, self._options, self._tell = families, options, loaded
        self.limit, self.compiled = max(1, limit), compiled
        self._held: OrderedDict[tuple[object, ...], Loaded] = OrderedDict()
        self._vaes: OrderedDict[tuple[object, ...], Any] = OrderedDict()

    @property
    def device(self) -> torch.device:
        """Where they draw."""
        return self._options.device

    @property
    def attention(self) -> str:
        """How attention is worked out: sdpa, xformers or sub-quadratic."""
        return self._options.attention

    @property
    def current(self) -> Loaded | None:
        """The model that was used last."""
        return next(reversed(self._held.values()), None)

    def holds(self, record: ModelRecord, fp8: str = FULL) -> bool:
        """Whether this very file, unchanged, is in memory, in these numbers."""
        return (*_identity(record), fp8) in self._held

    def get(self, record: ModelRecord | None, fp8: str = FULL) -> Loaded:
        """This model, loaded if it is not. `fp8`: as `ImageRequest.fp8`.

        Raises NoModel, or InvalidModelFile with the models so far still in memory.
        """
        record = _named(record)
        key = (*_identity(record), fp8)
        if key in self._held:
            self._held.move_to_end(key)
            self._bring(self._held[key])
        else:
            loaded = self._load(record, fp8)
            self._held[key] = loaded
            self._shrink(self.limit)
            self._tell(loaded)
        loaded = self._held[key]
        loaded.record = record  # the same file, but by now its hash may be known
        return loaded

    def fresh(self, record: ModelRecord | None, *, half: bool) -> Loaded:
        """A model of one's own, read from its file and not kept here: a training changes it, and lets it go.

        The others are let go before. Nothing that saves memory while drawing is applied.  Raises as `get`.
        """
        self.unload()
        options = replace(self._options, half=half, memory="normal", attention="sdpa")
        return self._read(_named(record), options)

    def lending(self, loaded: Loaded) -> "Models":
        """Models that answer this one whatever is asked for."""
        return _Lending(self._families, self._options, loaded)

    def vae(self, record: FileRecord, like: Built) -> Any:
        """The autoencoder of this file, for a model such as `like`. Raises InvalidModelFile."""
        from modules.families.vae import load_vae

        key = (record.path, record.modified, record.size, like.family)
        if key not in self._vaes:
            self._vaes[key] = load_vae(Path(record.path), like=like)
            if len(self._vaes) > MOST_VAES:
                self._vaes.popitem(last=False)
        self._vaes.move_to_end(key)
        return self._vaes[key]

    def unload(self) -> None:
        """Give the memory back."""
        self._held.clear()
        self._vaes.clear()
        give_back(self._options.device)

    def _load(self, record: ModelRecord, fp8: str) -> Loaded:
        family = self._family(_there(record))
        self._make_room(record.size)
        return self._read(record, replace(self._options, fp8=fp8 == "Enable" or (fp8 != FULL and "XL" in family.name)))

    def _read(self, record: ModelRecord, options: BuildOptions) -> Loaded:
        path = _there(record)
        family = self._family(path)
        built: Built = family.build(path, options)
        return Loaded(record=record, built=built, tokenizer=_tokenizer(built.tokenizer_folder))

    def _family(self, path: Path) -> Family:
        return family_of(shapes_of(path), self._families.values(), path.name)

    def _make_room(self, size: int) -> None:
        """Let models go, the one used longest ago first, until another of `size` bytes fits beside what is left.

        On a CPU the last one stays whatever happens: should the new file turn out broken, it can still draw.
        """
        self._shrink(self.limit)
        if self._options.device.type == "cuda":
            self._park_all()
            if self._options.memory == "normal" and torch.cuda.mem_get_info(self._options.device)[0] < ROOM * size:
                self.unload()
        while len(self._held) > 1 and psutil.virtual_memory().available < ROOM * size:
            self._let_go()

    def _shrink(self, most: int) -> None:
        while len(self._held) > most:
            self._let_go()

    def _let_go(self) -> None:
        self._held.popitem(last=False)
        give_back(self._options.device)

    def _bring(self, wanted: Loaded) -> None:
        """On a GPU: the model that is wanted onto the device, all others off it."""
        if self._options.device.type != "cuda" or self._options.memory != "normal":
            return
        from modules.families.offload import move

        for one in self._held.values():
            if one is not wanted:
                move(one.built, torch.device("cpu"))
        move(wanted.built, self._options.device)

    def _park_all(self) -> None:
        if self.limit == 1 or self._options.memory != "normal":
            return
        from modules.families.offload import move

        for one in self._held.values():
            move(one.built, torch.device("cpu"))


class _Lending(Models):
    """One model, whatever is asked for."""

    def __init__(self, families: Names[Family], options: BuildOptions, lent: Loaded) -> None:
        super().__init__(families, options)
        self._lent = lent

    def holds(self, record: ModelRecord, fp8: str = FULL) -> bool:
        """Always."""
        return True

    def get(self, record: ModelRecord | None, fp8: str = FULL) -> Loaded:
        """The model that is lent."""
        return self._lent


def _named(record: ModelRecord | None) -> ModelRecord:
    if record is None:
        raise NoModel("there is no checkpoint to draw with; put one into models/Stable-diffusion and refresh the list")
    return record


def _there(record: ModelRecord) -> Path:
    path = Path(record.path)
    if not path.exists():
        raise InvalidModelFile(f"{path.name} is not there any more; refresh the list of models.")
    return path


def _identity(record: ModelRecord) -> tuple[object, ...]:
    return record.path, record.modified, record.size
