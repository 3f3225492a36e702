"""The web application: Gradio's page, our routes, and the layers every request passes on its way in."""

import re
import secrets
from collections.abc import Iterable, Sequence

import gradio as gr
from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Scope

from modules.core.extension_points import Routes
from modules.services.studio import Studio
from modules.web.http import answers
from modules.web.http.door import DoorKeeper, new_door
from modules.web.http.guard import Guard
from modules.web.http.headers import SafeHeaders, Timing
from modules.web.http.limits import LARGEST_BODY, BodyLimit
from modules.web.http.people import owner_of
from modules.web.http.tasks import Tasks
from modules.web.page import mount_options

SMALLEST_GZIP = 1000  # bytes
OPENAPI = re.compile(r"^/openapi\.json$")


def build_app(studio: Studio, page: gr.Blocks | None, routes: Iterable[Routes]) -> FastAPI:
    """Everything this server answers. `page` is None with --nowebui."""
    flags = studio.flags
    served = [one for one in routes if flags.serves_api or not one.api]
    built = [(one.api, one.build(studio)) for one in served]
    routers = [(api, router) for api, router in built if router is not None]  # None: an extension's, and it failed
    app = FastAPI(
        title="Atelier", docs_url=None, redoc_url=None, openapi_url="/openapi.json" if flags.serves_api else None
    )
    for _, router in routers:
        app.include_router(router)
    ours = [pattern for _, router in routers for pattern in _patterns(router)]
    of_api = [pattern for api, router in routers if api for pattern in _patterns(router)]
    if flags.serves_api:
        ours.append(OPENAPI)
        of_api.append(OPENAPI)
    app.state.door = new_door(flags, studio.places.outputs, page is not None, ours, of_api)
    app.state.tasks = Tasks()
    app.state.app_id = secrets.randbits(63)
    answers.install(app)
    _add_layers(app, flags.listen)
    if page is not None:
        _mount(app, page, _first_parts(routers))
    return app


def _add_layers(app: FastAPI, any_host: bool) -> None:
    """The last one added is the outermost."""
    app.add_middleware(GZipMiddleware, minimum_size=SMALLEST_GZIP, compresslevel=5)
    app.add_middleware(BodyLimit)
    app.add_middleware(DoorKeeper, door=app.state.door)
    app.add_middleware(Guard, any_host=any_host)
    app.add_middleware(SafeHeaders)
    app.add_middleware(Timing)


def _patterns(router: APIRouter) -> list[re.Pattern[str]]:
    return [route.path_regex for route in router.routes if isinstance(route, APIRoute)]


def _first_parts(routers: Sequence[tuple[bool, APIRouter]]) -> frozenset[str]:
    paths = [route.path for _, router in routers for route in router.routes if isinstance(route, APIRoute)]
    return frozenset(path.split("/")[1] for path in paths)


class _PageMount(Mount):
    """Gradio at "/", but not below the addresses of our routes: a wrong verb there is 405, a wrong path our own 404."""

    taken: frozenset[str] = frozenset()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope.get("path", "").split("/")[1:2] and scope["path"].split("/")[1] in self.taken:
            return Match.NONE, {}
        return super().matches(scope)


def _mount(app: FastAPI, page: gr.Blocks, taken: frozenset[str]) -> None:
    before = len(app.router.routes)
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        auth_dependency=_gradio_user if app.state.door.page else None,
        allowed_paths=[],
        max_file_size=LARGEST_BODY,
        enable_monitoring=False,
        **mount_options(),
    )
    added: list[BaseRoute] = app.router.routes[before:]
    mounted = next(route for route in added if isinstance(route, Mount))
    ours = _PageMount("/", app=mounted.app)
    ours.taken = taken
    app.router.routes[app.router.routes.index(mounted)] = ours


def _gradio_user(request: Request) -> str | None:
    return owner_of(request) or None
