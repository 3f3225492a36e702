"""A real studio on a fresh folder: SQLite file, settings, a library with a small checkpoint, engines that are processes."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from services.small_things import TINY_ENGINE, web_plugins, write_checkpoint

from modules.core.flags import Flags, parse_flags
from modules.core.places import Places
from modules.services.build import open_studio
from modules.services.gallery import Gallery
from modules.services.queue import Queue
from modules.services.studio import Studio
from modules.storage.backends.sqlite import connect
from modules.storage.store import Store


@pytest.fixture
def flags(tmp_path: Path) -> Flags:
    return parse_flags(["--data-dir", str(tmp_path), "--use-cpu", "all"], {})


@pytest.fixture
def places(flags: Flags) -> Places:
    return Places.of(flags)


@pytest.fixture
def store(places: Places):
    opened = connect(f"sqlite:///{places.database}")
    yield opened
    opened.close()


@pytest.fixture
def queue(store: Store) -> Queue:
    return Queue(store)


@pytest.fixture
def gallery(store: Store, places: Places) -> Gallery:
    return Gallery(store, places)


@pytest.fixture
def open_tiny(flags: Flags, places: Places):
    """A function that opens a studio with tiny engines; closed at the end of the test at the latest."""
    write_checkpoint(places.models / "Stable-diffusion" / "tiny.safetensors", {"modelspec.resolution": "64x96"}, 200)
    with ExitStack() as closing:

        def opened(*more: str) -> Studio:
            all_flags = parse_flags(["--data-dir", str(places.data), "--use-cpu", "all", *more], {})
            context = open_studio(all_flags, places, web_plugins(), engine_command=TINY_ENGINE)
            return closing.enter_context(context)

        yield opened


@pytest.fixture
def studio(open_tiny) -> Studio:
    return open_tiny()
