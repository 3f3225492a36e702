"""Networks of a batch: what its first prompt names, found, loaded, and applied for the time of a block."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from modules.core.errors import InvalidModelFile
from modules.core.extension_points import Adapter, Use
from modules.core.named import Names
from modules.core.requests import FileRecord
from modules.engine.job import JobContext
from modules.families.built import Built
from modules.families.naming import layers_of
from modules.prompts.networks import KINDS, Network, cut_networks

MOST_FILES = 16


@dataclass(frozen=True, kw_only=True)
class Named:
    """A network that a prompt names, with its file and the adapter that knows it."""

    network: Network
    file: FileRecord
    adapter: Adapter


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A network in memory, and the file it came from."""

    path: str
    use: Use


@dataclass
class NetworkFiles:
    """Network files in memory; the latest stay. One for each engine."""

    held: "OrderedDict[tuple[object, ...], Any]" = field(default_factory=OrderedDict)

    def get(self, named: Named) -> Any:
        """The loaded file. Raises InvalidModelFile."""
        key = (named.file.path, named.file.modified, named.file.size, named.adapter.name)
        if key not in self.held:
            self.held[key] = named.adapter.load(Path(named.file.path))
            if len(self.held) > MOST_FILES:
                self.held.popitem(last=False)
        self.held.move_to_end(key)
        return self.held[key]


@cache
def files_of_engine() -> NetworkFiles:
    """The one store of this process."""
    return NetworkFiles()


def named_in(prompt: str, context: JobContext) -> tuple[Named, ...]:
    """The networks of a prompt that can be applied, in order; a remark for each that cannot."""
    found: list[Named] = []
    for network in cut_networks(prompt)[1]:
        adapter = _adapter(network.kind, context.plugins.collect("register_adapters"))
        file = _file(network, context.job.files)
        if network.problem:
            context.notes.append(network.problem)
        elif adapter is None:
            context.notes.append(f"<{network.kind}:…> names no kind of network; it was left out.")
        elif file is None:
            context.notes.append(f"There is no {network.kind} called {network.name!r}; it was left out.")
        else:
            found.append(Named(network=network, file=file, adapter=adapter))
    return tuple(found)


def _adapter(kind: str, adapters: Names[Adapter]) -> Adapter | None:
    return next((one for one in adapters.values() if kind in one.kinds), None)


def _file(network: Network, files: Sequence[FileRecord]) -> FileRecord | None:
    """By alias or file name, as the web process chose them: it sent only files that the prompts name."""
    of_kind = [one for one in files if one.kind == KINDS.get(network.kind, network.kind)]
    for name in ("alias", "name"):
        exact = [one for one in of_kind if getattr(one, name) == network.name]
        if len(exact) == 1:
            return exact[0]
    folded = network.name.casefold()
    return next((one for one in of_kind if folded in (one.name.casefold(), one.alias.casefold())), None)


@contextmanager
def applied(named: Sequence[Named], built: Built, context: JobContext) -> Iterator[None]:
    """The networks' effect on the model, for the time of the block; afterwards it is what it was, bit for bit."""
    with ExitStack() as blocks:
        if named:
            layers = layers_of(built)
            for adapter, found in _by_adapter(named, context):
                matched = _entered(blocks, adapter, layers, found, context)
                context.notes.extend(_remarks(matched))
        yield


def _entered(blocks: ExitStack, adapter: Adapter, layers: Any, found: Sequence[_Found], context: JobContext) -> Any:
    """All files of an adapter at once; when one of them does not fit the model, those that do."""
    try:
        return blocks.enter_context(adapter.applied(layers, [one.use for one in found]))
    except InvalidModelFile:
        fitting = [one.use for one in found if _fits(adapter, layers, one, context)]
        return blocks.enter_context(adapter.applied(layers, fitting))


def _fits(adapter: Adapter, layers: Any, one: _Found, context: JobContext) -> bool:
    try:
        with adapter.applied(layers, [one.use]):
            return True
    except InvalidModelFile as error:
        _leave_out(one.path, error, context)
        return False


def _by_adapter(named: Sequence[Named], context: JobContext) -> Iterator[tuple[Adapter, list[_Found]]]:
    for adapter in dict.fromkeys(one.adapter.name for one in named):
        mine = [one for one in named if one.adapter.name == adapter]
        found = [known for one in mine if (known := _found(one, context))]
        if found:
            yield mine[0].adapter, found


def _found(one: Named, context: JobContext) -> _Found | None:
    """A network with its file read; a file that cannot be used costs the network, not the picture."""
    try:
        loaded = files_of_engine().get(one)
    except InvalidModelFile as error:
        _leave_out(one.file.path, error, context)
        return None
    network = one.network
    use = Use(loaded=loaded, text_encoder=network.text_encoder, unet=network.unet, dyn=network.dyn)
    return _Found(path=one.file.path, use=use)


def _leave_out(path: str, error: InvalidModelFile, context: JobContext) -> None:
    context.left_out.add(path)
    context.notes.append(f"{error} It was left out.")


def _remarks(matched: Any) -> Iterator[str]:
    """Files that the model has only some of the layers of. An adapter need not say."""
    for one in matched or ():
        if missing := getattr(one, "missing", ()):
            yield f"{one.name}: {len(missing)} of {one.layers + len(missing)} layers are not in this model."


def key_of(named: Sequence[Named]) -> tuple[object, ...]:
    """What decides about the text encoder while these networks are applied."""
    return tuple((one.file.path, one.file.modified, one.network.text_encoder, one.network.dyn) for one in named)
