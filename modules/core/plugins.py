"""Find plugins, ask them, tell them; and say whose fault an error is.

An error in a plugin of ours stops the start. An extension's error, an unknown hook or a taken name costs that extension
only: it is logged with its name, listed with the reason, and the rest goes on.
"""

import importlib
import importlib.util
import logging
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from modules.core.errors import AtelierError, UnknownName
from modules.core.events import PluginReport
from modules.core.extension_points import COLLECTED, HOOKS, Listener
from modules.core.named import Names, closest

log = logging.getLogger(__name__)

EXTENSIONS_FAULTS = (Exception, SystemExit)
BUILT_AT_START = ("register_tabs", "register_routes")  # what is built later, when a fault would stop the start


class Plugins:
    """The plugins of one process. `process` is "web" or "engine"; it is named in reports."""

    def __init__(self, process: str) -> None:
        self.process = process
        self._manager = pluggy.PluginManager("atelier")
        for hooks in HOOKS:
            self._manager.add_hookspecs(hooks)
        self._extensions: dict[str, str] = {}  # name -> what is wrong with it, "" when nothing
        self._collected: dict[str, Names[Any]] = {}

    # -- finding ---------------------------------------------------------------------------------------------------

    def add_package(self, package: str) -> None:
        """Every module directly inside one of our packages is a plugin."""
        paths = importlib.import_module(package).__path__
        for found in sorted(pkgutil.iter_modules(paths), key=lambda module: module.name):
            self.add_module(importlib.import_module(f"{package}.{found.name}"))

    def add_module(self, module: ModuleType) -> None:
        """One module of ours as a plugin."""
        self._collected.clear()
        self._manager.register(module, module.__name__)
        self._manager.check_pending()

    def add_extensions(self, folder: Path, disabled: Iterable[str] = ()) -> None:
        """Load `<folder>/<name>/plugin.py` of every extension that is not disabled, in order of name."""
        off = set(disabled)
        for path in sorted(folder.glob("*/plugin.py")) if folder.is_dir() else []:
            if path.parent.name not in off:
                self._add_extension(path.parent.name, path)

    def _add_extension(self, name: str, path: Path) -> None:
        self._extensions[name] = ""
        self._collected.clear()
        try:
            module = _loaded(f"atelier_extension_{name}", path)
            self._refuse_unknown_hooks(module)
            self._manager.register(module, name)
            self._manager.check_pending()
        except EXTENSIONS_FAULTS as error:
            self._blame(name, f"could not be loaded: {_short(error)}")

    def _refuse_unknown_hooks(self, module: ModuleType) -> None:
        known = {hook for hooks in HOOKS for hook in vars(hooks) if not hook.startswith("_")}
        marked = [name for name, value in vars(module).items() if hasattr(value, "atelier_impl")]
        for name in marked:
            if name not in known:
                raise UnknownName("hook", name, closest(name, known))

    # -- asking ----------------------------------------------------------------------------------------------------

    def collect(self, hook: str) -> Names[Any]:
        """All things registered through a `register_…` hook, ours first, asked once until plugins are added."""
        if hook not in self._collected:
            names: Names[Any] = Names(hook.removeprefix("register_").removesuffix("s").replace("_", " "))
            for listener in sorted(self.listeners(hook), key=lambda one: not one.builtin):
                self._collect_one(hook, listener, names)
            self._collected[hook] = names
        return self._collected[hook]

    def _collect_one(self, hook: str, listener: Listener, names: Names[Any]) -> None:
        def claim() -> None:
            things = list(listener.call())
            for thing in things:
                if not isinstance(thing, COLLECTED[hook]):
                    raise AtelierError(f"{hook} answered {type(thing).__name__}, not {COLLECTED[hook].__name__}")
                names.refuse_taken(thing)
            for thing in things:
                names.claim(self._fenced(listener, thing) if hook in BUILT_AT_START else thing)

        self._guarded(listener, claim)

    def _fenced(self, listener: Listener, thing: Any) -> Any:
        """The same thing, whose `build` answers None when it is an extension's and fails."""

        def build(studio: Any) -> Any:
            return self._guarded(listener, lambda: thing.build(studio))

        return replace(thing, build=build)

    def pass_along(self, hook: str, first: Any, **others: Any) -> Any:
        """Let each listener answer a changed copy of `first`, which is the hook's first argument."""
        for listener in self.listeners(hook):
            answer = self._guarded(listener, lambda one=listener, value=first: one.call(value, **others))
            first = first if answer is None else answer
        return first

    def tell(self, hook: str, **news: Any) -> None:
        """Call each listener separately, so that one failing listener does not silence the next."""
        for listener in self.listeners(hook):
            self._guarded(listener, lambda one=listener: one.call(**news))

    def anyone(self, hook: str) -> bool:
        """Whether a hook has a listener; for news that is dear to prepare."""
        return next(self.listeners(hook), None) is not None

    def listeners(self, hook: str) -> Iterator[Listener]:
        """The working implementations of a hook, in order of registration."""
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            name = implementation.plugin_name
            if not self._extensions.get(name):
                yield Listener(plugin=name, builtin=name not in self._extensions, call=_accepting(implementation))

    def _guarded(self, listener: Listener, call: Callable[[], Any]) -> Any:
        if listener.builtin:
            return call()
        try:
            return call()
        except EXTENSIONS_FAULTS as error:
            self._blame(listener.plugin, f"failed: {_short(error)}")
            return None

    # -- reporting -------------------------------------------------------------------------------------------------

    def reports(self) -> tuple[PluginReport, ...]:
        """Every extension of this process and what is wrong with it."""
        return tuple(
            PluginReport(name=name, process=self.process, problem=why) for name, why in self._extensions.items()
        )

    def _blame(self, name: str, reason: str) -> None:
        log.error("extension %s %s\n%s", name, reason, traceback.format_exc())
        self._extensions[name] = reason


def _loaded(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _accepting(implementation: Any) -> Callable[..., Any]:
    """The function of a listener, called with those of the hook's arguments that it takes."""
    names = implementation.argnames

    def call(*first: Any, **news: Any) -> Any:
        named = {name: news[name] for name in names if name in news}
        return implementation.function(*first, **named)

    return call


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]
