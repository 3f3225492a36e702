"""Studio: what a face (page, HTTP API) may use."""

from dataclasses import dataclass

from modules.core.flags import Flags
from modules.core.places import Places
from modules.services.cards import Cards
from modules.services.catalogue import CatalogueKeeper
from modules.services.desk import Desk
from modules.services.engines import Engines
from modules.services.extensions import Extensions
from modules.services.fetch import Downloads
from modules.services.gallery import Gallery
from modules.services.inputs import Inputs
from modules.services.library import Library
from modules.services.queue import Queue
from modules.services.settings import Settings
from modules.services.shelf import Shelf
from modules.services.styles import Styles
from modules.services.tokens import TokenCounter
from modules.services.training.comparisons import Comparisons
from modules.services.training.runs import Trainings
from modules.services.watch import Watch
from modules.services.wildcards import Wildcards


@dataclass(frozen=True, kw_only=True)
class Studio:
    """The services, and how and where the server runs. `notices`: what an administrator should know of the start."""

    desk: Desk
    queue: Queue
    watch: Watch
    engines: Engines
    library: Library
    shelf: Shelf
    cards: Cards
    downloads: Downloads
    gallery: Gallery
    inputs: Inputs
    settings: Settings
    styles: Styles
    wildcards: Wildcards
    catalogue: CatalogueKeeper
    tokens: TokenCounter
    extensions: Extensions
    trainings: Trainings
    comparisons: Comparisons
    flags: Flags
    places: Places
    notices: tuple[str, ...] = ()
