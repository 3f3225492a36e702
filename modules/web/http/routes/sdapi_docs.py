"""`/docs` and `/redoc`: the API on one page, drawn here from `/openapi.json`; no script, nothing from another host."""

import html
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.web.http.limits import new_router

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
STYLE = """:root { color-scheme: light dark } body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
font: 16px/1.5 system-ui, sans-serif } code { font-size: .95em } table { border-collapse: collapse } td, th {
text-align: left; padding: .15rem 1rem .15rem 0; vertical-align: top; font-weight: normal } h2 { font-size: 1.1rem;
margin: 2rem 0 .25rem } p { margin: .25rem 0 }"""


@hookimpl
def register_routes() -> list[Routes]:
    """With --api or --nowebui."""
    return [Routes(name="sdapi docs", build=build, api=True)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router()

    @router.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    @router.get("/redoc", response_class=HTMLResponse, include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:
        """Every route with its fields."""
        return HTMLResponse(_page(request.app.openapi()), headers={"Content-Security-Policy": POLICY})

    return router


def _page(known: Mapping[str, Any]) -> str:
    body = "".join(_route(known, path, verb) for path, verbs in known["paths"].items() for verb in verbs)
    title = html.escape(known["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}: HTTP API</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f'<h1>{title}: HTTP API</h1><p>As data: <a href="/openapi.json">openapi.json</a></p>{body}</body></html>'
    )


def _route(known: Mapping[str, Any], path: str, verb: str) -> str:
    route = known["paths"][path][verb]
    rows = "".join(
        f"<tr><th><code>{html.escape(name)}</code></th><td>{html.escape(kind)}</td><td>{html.escape(default)}</td></tr>"
        for name, kind, default in _fields(known, route)
    )
    table = f"<table>{rows}</table>" if rows else ""
    words = html.escape(route.get("description") or "")
    return f"<h2><code>{verb.upper()} {html.escape(path)}</code></h2><p>{words}</p>{table}"


def _fields(known: Mapping[str, Any], route: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, type and default of each parameter and each field of the body."""
    for one in route.get("parameters", []):
        yield one["name"], _kind(one["schema"]), _default(one["schema"])
    for content in route.get("requestBody", {}).get("content", {}).values():
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        body = known["components"]["schemas"].get(name, {})
        for field, schema in body.get("properties", {}).items():
            yield field, _kind(schema), _default(schema)


def _kind(schema: Mapping[str, Any]) -> str:
    kinds = [one.get("type", "any") for one in schema.get("anyOf", [schema])]
    return " or ".join(kinds)


def _default(schema: Mapping[str, Any]) -> str:
    return f"default {schema['default']!r}" if schema.get("default") is not None else ""
