"""Put the services together, each once, in the order they need each other; and take them down again."""

import logging
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from modules.core.flags import ROOT, Flags
from modules.core.places import Places
from modules.core.plugins import Plugins
from modules.services import lock
from modules.services.cards import Cards
from modules.services.catalogue import CatalogueKeeper
from modules.services.connection import COMMAND
from modules.services.desk import Desk
from modules.services.engines import Engines
from modules.services.extensions import Extensions
from modules.services.fetch import Downloads
from modules.services.fetch_net import Net
from modules.services.fetch_sources import Sources
from modules.services.gallery import Gallery
from modules.services.inputs import Inputs, inputs_needed
from modules.services.library import Library
from modules.services.library_watch import HotReload
from modules.services.needs import Needs
from modules.services.queue import Queue
from modules.services.resolving import Resolver
from modules.services.settings import Settings
from modules.services.shelf import Shelf
from modules.services.studio import Studio
from modules.services.styles import Styles
from modules.services.tokens import TokenCounter
from modules.services.training.comparisons import Comparisons
from modules.services.training.run_folder import removed_runs
from modules.services.training.runs import Trainings
from modules.services.watch import Watch
from modules.services.wildcards import Wildcards
from modules.storage.store import Store

log = logging.getLogger(__name__)

TOKENIZER = ROOT / "modules" / "families" / "assets" / "clip_tokenizer"


@contextmanager
def open_studio(
    flags: Flags, places: Places, plugins: Plugins, *, engine_command: Sequence[str] = COMMAND
) -> Generator[Studio, None, None]:
    """Everything that a face needs, engines running, until the block is left.

    Raises DataDirectoryInUse, StorageFailed. What a crash left half-way is finished or taken back here.
    """
    with ExitStack() as closing:
        closing.enter_context(lock.held(places.lock))
        store = _opened(places, plugins)
        closing.callback(store.close)
        needs = _needs(store, flags, places, plugins, engine_command)
        needs.gallery.recover()
        again = needs.queue.recover()
        needs.inputs.sweep()
        if again:
            log.info("%d jobs that were running when the server ended wait again", again)
        _list_models(needs, closing)
        engines: Engines = plugins.collect("register_dispatchers").find("Local").start(needs)
        closing.callback(engines.stop)
        cards = Cards(needs.library, needs.shelf, places)
        downloads = Downloads(places, Sources(net=Net()), offline=flags.offline, arrived=cards.refresh)
        closing.callback(downloads.close)
        notices = (store.notice,) if store.notice else ()
        yield _studio(needs, engines, cards=cards, downloads=downloads, notices=notices)


def _list_models(needs: Needs, closing: ExitStack) -> None:
    """Let model files be hashed and new ones be noticed in the background."""
    if not needs.flags.no_hashing:
        needs.library.start_hashing()
        needs.shelf.start_hashing()
    closing.callback(needs.library.close)
    closing.callback(needs.shelf.close)
    reload = HotReload((needs.library, needs.shelf))
    reload.start()
    closing.callback(reload.close)


def _opened(places: Places, plugins: Plugins) -> Store:
    backend = plugins.collect("register_storage_backends").find("SQLite")
    return backend.connect(f"sqlite:///{places.database}")


def _needs(store: Store, flags: Flags, places: Places, plugins: Plugins, engine_command: Sequence[str]) -> Needs:
    queue = Queue(store)
    gallery = Gallery(store, places)
    library, shelf = Library(places, places.cache / "hashes.json"), Shelf(places)
    settings = Settings(lambda: plugins.collect("register_settings"), places.settings)
    catalogue = CatalogueKeeper(places.cache / "catalogue.json")
    return Needs(
        queue=queue,
        watch=Watch(queue, gallery),
        gallery=gallery,
        inputs=Inputs(
            places.inputs,
            needed=lambda: inputs_needed(queue, removed_runs(places.training)),
            check_room=gallery.check_room,
        ),
        library=library,
        shelf=shelf,
        settings=settings,
        resolver=Resolver(library, shelf, catalogue, settings),
        catalogue=catalogue,
        plugins=plugins,
        flags=flags,
        places=places,
        command=engine_command,
    )


def _studio(needs: Needs, engines: Engines, **known: Any) -> Studio:
    styles, wildcards, cards = Styles(needs.places.styles), Wildcards(needs.places.wildcards), known["cards"]
    desk = Desk(
        queue=needs.queue,
        gallery=needs.gallery,
        inputs=needs.inputs,
        resolver=needs.resolver,
        settings=needs.settings,
        styles=styles,
        wildcards=wildcards,
        plugins=needs.plugins,
    )
    return Studio(
        desk=desk,
        queue=needs.queue,
        watch=needs.watch,
        engines=engines,
        library=needs.library,
        shelf=needs.shelf,
        gallery=needs.gallery,
        inputs=needs.inputs,
        settings=needs.settings,
        styles=styles,
        wildcards=wildcards,
        catalogue=needs.catalogue,
        tokens=TokenCounter(TOKENIZER, needs.shelf.vectors),
        extensions=Extensions(needs.plugins, engines),
        comparisons=Comparisons(desk, needs.queue, needs.places),
        trainings=Trainings(needs.queue, desk, engines, cards, needs.places),
        flags=needs.flags,
        places=needs.places,
        **known,
    )
