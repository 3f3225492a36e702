"""How the extensions fared, in this process and in the engines."""

from modules.core.events import PluginReport
from modules.core.plugins import Plugins
from modules.services.engines import Engines


class Extensions:
    """What the Extensions tab lists."""

    def __init__(self, plugins: Plugins, engines: Engines) -> None:
        self._plugins = plugins
        self._engines = engines

    def reports(self) -> tuple[PluginReport, ...]:
        """One report per extension and kind of process, without repetitions."""
        return tuple(dict.fromkeys((*self._plugins.reports(), *self._engines.reports())))
