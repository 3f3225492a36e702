"""What a dispatcher is given."""

from collections.abc import Sequence
from dataclasses import dataclass

from modules.core.flags import Flags
from modules.core.places import Places
from modules.core.plugins import Plugins
from modules.services.catalogue import CatalogueKeeper
from modules.services.connection import COMMAND
from modules.services.gallery import Gallery
from modules.services.inputs import Inputs
from modules.services.library import Library
from modules.services.queue import Queue
from modules.services.resolving import Resolver
from modules.services.settings import Settings
from modules.services.shelf import Shelf
from modules.services.watch import Watch


@dataclass(frozen=True, kw_only=True)
class Needs:
    """The services a dispatcher works with. `command` starts an engine process."""

    queue: Queue
    watch: Watch
    gallery: Gallery
    inputs: Inputs
    library: Library
    shelf: Shelf
    settings: Settings
    resolver: Resolver
    catalogue: CatalogueKeeper
    plugins: Plugins
    flags: Flags
    places: Places
    command: Sequence[str] = COMMAND
