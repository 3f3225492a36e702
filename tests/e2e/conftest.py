"""A real server in a process of its own, and a real browser that looks at it and notices everything that is wrong."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from modules.core.flags import ROOT

PATIENCE = 120.0  # seconds; machines that test are busy

expect.set_options(timeout=float(os.environ.get("ATELIER_PATIENCE", "90")) * 1000)


class Server:
    """`python app.py` on a free port. `stop` and `start` keep port and data: the page meets the same server again."""

    def __init__(self, data: Path, *flags: str) -> None:
        self.data, self.flags = data, flags
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None

    def start(self) -> "Server":
        command = [sys.executable, "app.py", "--port", str(self.port), "--data-dir", str(self.data), "--use-cpu", "all"]
        log = (self.data / "server.log").open("ab")
        surroundings = os.environ | {"OMP_NUM_THREADS": "2"}
        self.process = subprocess.Popen(
            [*command, *self.flags], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=surroundings
        )
        end = time.monotonic() + PATIENCE
        while not self._answers():
            assert self.process.poll() is None, (self.data / "server.log").read_text()
            assert time.monotonic() < end, "the server did not come up"
            time.sleep(0.1)
        return self

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.address}/", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(30)

    def jobs(self) -> list[dict]:
        return httpx.get(f"{self.address}/api/v1/jobs", params={"recent": 50}, timeout=30).json()


@contextmanager
def serving(data: Path, *flags: str):
    server = Server(data, *flags).start()
    try:
        yield server
    finally:
        server.stop()


def add_small_model(data: Path, name: str = "small", size: int = 64) -> Path:
    """A real network with few channels and random weights: its pictures are noise, made in no time."""
    from modules.families import random_weights

    path = data / "models" / "Stable-diffusion" / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    random_weights.write(path, random_weights.small(), seed=0, metadata={"modelspec.resolution": f"{size}x{size}"})
    return path


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server with two small models and a file that is none, for the tests that leave it idle."""
    data = tmp_path_factory.mktemp("atelier")
    add_small_model(data, "a-small")
    add_small_model(data, "b-larger", size=128)
    (data / "models" / "Stable-diffusion" / "c-broken.safetensors").write_bytes(b"\x00" * 100)
    with serving(data) as served:
        yield served


class Visitor:
    """A browser of its own (storage included) at one server. Whatever the console or the network complains of is kept."""

    def __init__(self, browser: Browser, server: Server, **how) -> None:
        self.server = server
        self.context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | how))
        self.complaints: list[str] = []
        self.foreign: list[str] = []

    def open(self) -> Page:
        page = self.context.new_page()
        page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._seen(request.url))
        page.goto(self.server.address)
        self.ready(page)
        return page

    def _seen(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != urlsplit(self.server.address).netloc:
            self.foreign.append(url)

    @staticmethod
    def ready(page: Page) -> None:
        """The form is there, filled, and its events are connected."""
        expect(page.locator("#txt2img_prompt .at-count")).to_have_text("0/75")  # counted once all values are restored

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def visit(browser, server):
    """A function that makes a visitor; at the end none may have seen an error or asked a foreign host."""
    visitors: list[Visitor] = []

    def new(to: Server = server, **how) -> Visitor:
        visitors.append(Visitor(browser, to, **how))
        return visitors[-1]

    yield new
    for visitor in visitors:
        visitor.close()
        assert visitor.complaints == []
        assert visitor.foreign == []


FORGET = """() => {
    document.querySelectorAll("dialog").forEach((one) => one.close());
    localStorage.clear();
    Object.assign(atelier.viewing, { recent: [], chosen: "" });
    Object.assign(atelier.jobs, { live: null, refusal: null });
    atelier.forms.clearProblems("txt2img");
    atelier.openTab("txt2img");
    for (const head of document.querySelectorAll('.at-section > .label-wrap[aria-expanded]'))
        if ((head.getAttribute("aria-expanded") === "true") === head.parentElement.classList.contains("at-folded")) head.click();
    const fields = JSON.parse(document.querySelector("#txt2img_form at-form").getAttribute("fields"));
    const usual = Object.fromEntries(Object.entries(fields).map(([name, { usual }]) => [name, usual]));
    atelier.styles.toggle("txt2img", false);
    atelier.forms.fill("txt2img", { ...usual, prompt: "", negative_prompt: "", sampler: "DPM++ 2M", schedule: "Automatic", steps: 20,
        cfg_scale: 7, width: 64, height: 64, batch_count: 1, batch_size: 1, seed: "-1" });
    scrollTo(0, 0);
}"""


@pytest.fixture(scope="session")
def open_page(browser, server):
    """One page for many tests: opening one costs more than most of them do."""
    visitor = Visitor(browser, server)
    yield visitor, visitor.open()
    visitor.close()


@pytest.fixture
def page(open_page) -> Page:
    """The page as if it were new. It may neither complain nor ask a foreign host."""
    visitor, page = open_page
    visitor.complaints.clear()
    page.evaluate(FORGET)
    expect(page.locator("#txt2img_steps input[type=number]")).to_have_value("20")
    visitor.ready(page)
    yield page
    assert visitor.complaints == []
    assert visitor.foreign == []
