"""`/api/v1/page-parts`: scripts and style sheets of tabs that are fetched when such a tab is first opened."""

import hashlib

from fastapi import APIRouter, Request
from starlette.responses import Response

from modules.core.errors import NotFound
from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.web.http.limits import new_router
from modules.web.page import LATER, later_script, later_style


@hookimpl
def register_routes() -> list[Routes]:
    """Always served: the page lives on them."""
    return [Routes(name="page-parts", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/api/v1/page-parts")

    @router.get("/{name}.js", include_in_schema=False)
    def script(name: str, request: Request) -> Response:
        """All scripts of a part as one."""
        return _kept(later_script(_known(name)), "text/javascript", request)

    @router.get("/{name}.css", include_in_schema=False)
    def style(name: str, request: Request) -> Response:
        """Its looks."""
        return _kept(later_style(_known(name)), "text/css", request)

    return router


def _known(name: str) -> str:
    if name not in LATER:
        raise NotFound(f"The page has no part called {name[:40]!r}.")
    return name


def _kept(text: str, kind: str, request: Request) -> Response:
    """Browsers keep it and ask each time whether it is still this one."""
    known = {"ETag": f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match", "").removeprefix("W/") == known["ETag"]:
        return Response(status_code=304, headers=known)
    return Response(text, media_type=kind, headers=known)
