"""A small web server on this machine that misbehaves as told: what fetching is tried against."""

import contextlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Page:
    """What a path answers. `cuts`: after how many bytes each of the next answers breaks off. `headers` win."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    gate: threading.Event | None = None


class Server:
    """`pages` by path; `asked`: every request as (path, headers)."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                page = outer.pages.get(self.path) or outer.pages.get(self.path.partition("?")[0]) or Page(status=404)
                with contextlib.suppress(OSError):
                    outer.answer(self, page)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # clients that go away are what is tested
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler, page: Page) -> None:
        body, status, headers = page.body, page.status, {"ETag": '"one"'}
        wanted = request.headers.get("Range")
        if wanted and page.ranges and status == 200:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if request.headers.get("If-Range", headers["ETag"]) == page.headers.get("ETag", headers["ETag"]):
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                body, status = body[start:], 206
        headers |= {"Content-Length": str(len(body)), **page.headers}
        request.send_response(status)
        for name, value in headers.items():
            if value:
                request.send_header(name, value)
        request.end_headers()
        request.close_connection = headers["Content-Length"] != str(len(body))
        if page.cuts:
            body = body[: page.cuts.pop(0)]
            request.close_connection = True
        half = len(body) // 2 if page.gate else len(body)
        request.wfile.write(body[:half])
        if page.gate:
            request.wfile.flush()
            page.gate.wait(30)
            request.wfile.write(body[half:])

    def json(self, path: str, value: Any) -> None:
        self.pages[path] = Page(body=json.dumps(value).encode(), headers={"Content-Type": "application/json"})

    def redirect(self, path: str, to: str, status: int = 302) -> None:
        self.pages[path] = Page(status=status, headers={"Location": to})

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
