"""Every route of a built application, read from its routers, so that a new route is covered by the tests of all."""

from dataclasses import dataclass
from urllib.parse import quote

from fastapi.routing import APIRoute
from starlette.routing import Mount, Route, WebSocketRoute

SAFE = {"GET", "HEAD", "OPTIONS"}
EXAMPLES = {"job_id": "0" * 32, "picture_id": "0" * 32, "run": "0" * 32, "seed": "1"}


@dataclass(frozen=True)
class Address:
    """One verb on one path, with example values in the path."""

    method: str
    path: str

    @property
    def changes(self) -> bool:
        return self.method not in SAFE

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def addresses(app, gradio: bool = True) -> list[Address]:
    """All of ours, and with `gradio` those of the mounted page."""
    found = set()
    for route in _routes(app.router, gradio):
        if not isinstance(route, WebSocketRoute):
            found |= {Address(method, _filled(route)) for method in route.methods or ()}
    return sorted(found, key=str)


def _routes(router, gradio: bool):
    for route in router.routes:
        if isinstance(route, Mount):
            if gradio:
                yield from _routes(route.app.router, gradio)
        elif isinstance(route, Route | APIRoute | WebSocketRoute):
            yield route
        else:
            yield from _routes(route.original_router, gradio)  # FastAPI keeps an included router as it is


def _filled(route) -> str:
    path = route.path_format
    for name in route.param_convertors:
        path = path.replace("{" + name + "}", quote(EXAMPLES.get(name, "x"), safe=""))
    return path
