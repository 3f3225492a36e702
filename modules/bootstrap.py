"""The only file of the web process that may import everything: plugins, then each service, once; then serve."""

import logging
import os
import signal
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modules.core.flags import Flags
from modules.core.forbidden import forbid
from modules.core.places import Places
from modules.core.plugins import Plugins

if TYPE_CHECKING:
    from modules.services.studio import Studio

SERVICE_PLUGINS = ("modules.storage.backends", "modules.services.dispatch", "modules.services.setting_groups")
FACE_PLUGINS = ("modules.web.tabs", "modules.web.http.routes")

log = logging.getLogger("atelier")


@dataclass(frozen=True, kw_only=True)
class Application:
    """A built web process: the ASGI application and the studio behind it."""

    asgi: Any
    studio: "Studio"


@contextmanager
def web_application(flags: Flags) -> Iterator[Application]:
    """Everything of the web process, from the data directory's lock to the page; engines run while it is open."""
    forbid()
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1")
    plugins = Plugins("web")
    for package in SERVICE_PLUGINS:
        plugins.add_package(package)
    from modules.services.build import open_studio

    with open_studio(flags, Places.of(flags), plugins) as studio:
        # gradio takes seconds to import: the engines, started above, use them to import torch
        for package in FACE_PLUGINS:
            plugins.add_package(package)
        plugins.add_extensions(Places.of(flags).extensions)
        yield Application(asgi=_faces(studio, plugins, flags), studio=studio)
        plugins.tell("stopping")


def _faces(studio: "Studio", plugins: Plugins, flags: Flags) -> Any:
    from modules.web.http.app import build_app
    from modules.web.page import build_page

    routes = [one for one in plugins.collect("register_routes").values() if flags.serves_api or not one.api]
    page = None if flags.nowebui else build_page(studio, plugins.collect("register_tabs").values())
    plugins.tell("started", studio=studio)
    return build_app(studio, page, routes)


def serve(flags: Flags) -> int:
    """Serve until SIGTERM or Ctrl-C. Returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, _leave)
    with web_application(flags) as application:
        if flags.exit:
            return 0
        address = f"http://{'localhost' if flags.listen else flags.host}:{flags.port}"
        log.info("Atelier is at %s", address)
        if flags.autolaunch:
            webbrowser.open(address)
        return _run(application.asgi, flags)


def _leave(*_: object) -> None:
    """Unwind, so that the engines are stopped. uvicorn calls this too: it raises its signal again when it is through."""
    raise SystemExit(0)


def _run(asgi: Any, flags: Flags) -> int:
    import uvicorn

    config = uvicorn.Config(
        asgi,
        host=flags.host,
        port=flags.port,
        log_level="warning",
        timeout_graceful_shutdown=1,
        server_header=False,
        proxy_headers=False,  # else a program on this machine could pretend to be many and guess passwords faster
    )
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 1
