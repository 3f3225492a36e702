"""A real server for the HTTP face: uvicorn on a free port, SQLite, engines that are processes, httpx as the client."""

import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import httpx
import uvicorn

from modules.core.flags import parse_flags
from modules.core.places import Places
from modules.core.plugins import Plugins
from modules.services.build import open_studio
from modules.web.http.app import build_app

ENGINE = (sys.executable, str(Path(__file__).with_name("drawing_engine.py")))
PACKAGES = (
    "modules.storage.backends",
    "modules.services.dispatch",
    "modules.services.setting_groups",
    "modules.web.http.routes",
)


@dataclass(frozen=True)
class Served:
    """A running server. `client` sends no login."""

    address: str
    studio: object
    app: object
    client: httpx.Client

    def jobs(self) -> int:
        return len(self.studio.queue.jobs(limit=1000))


def write_checkpoint(path: Path, title: str = "tiny", size: str = "64x96", side: int = 200) -> Path:
    """A small, sound safetensors file that says at which size it was trained."""
    tensors = {"model.diffusion_model.out.weight": {"dtype": "F32", "shape": [side], "data_offsets": [0, side * 4]}}
    metadata = {"modelspec.title": title, "modelspec.resolution": size}
    header = json.dumps({"__metadata__": metadata} | tensors).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + title.encode().ljust(side * 4, b"\0"))
    return path


def eventually(true, seconds: float = 30.0):
    """Wait until something is true; answers it."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.01)
    return found


def small_page() -> gr.Blocks:
    with gr.Blocks(analytics_enabled=False) as page:
        box = gr.Textbox()
        box.submit(lambda text: text, box, box, api_name="echo")
    return page


@contextmanager
def running(folder: Path, *flags: str, page: bool = False, engine: Sequence[str] = ()):
    """A server that is up."""
    plugins = Plugins("web")
    for package in PACKAGES:
        plugins.add_package(package)
    with ExitStack() as closing:
        bound = closing.enter_context(_bound())
        port = bound.getsockname()[1]
        known = parse_flags(["--data-dir", str(folder), "--use-cpu", "all", "--port", str(port), *flags], {})
        studio = closing.enter_context(open_studio(known, Places.of(known), plugins, engine_command=engine or ENGINE))
        routes = plugins.collect("register_routes").values()
        app = build_app(studio, small_page() if page else None, routes)
        closing.enter_context(_serving(app, bound))
        address = f"http://127.0.0.1:{port}"
        client = closing.enter_context(httpx.Client(base_url=address, timeout=60))
        yield Served(address=address, studio=studio, app=app, client=client)


@contextmanager
def _bound():
    with socket.socket(proto=socket.IPPROTO_TCP) as made:  # else asyncio leaves Nagle on: 40 ms per answer
        made.bind(("127.0.0.1", 0))
        yield made


@contextmanager
def _serving(app, bound):
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    eventually(lambda: server.started)
    yield
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()
