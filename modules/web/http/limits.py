"""What one request may weigh: the body's size, and JSON that no honest client writes (NaN, depth bombs, lone surrogates)."""

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import APIRouter, HTTPException
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modules.web.http.answers import refusal

LARGEST_BODY = 64 << 20
DEEPEST = 100  # levels of lists and objects in a body


class _TooLarge(HTTPException):
    """The body went over the limit while it was read. FastAPI and Gradio let an HTTPException through as it is."""


class BodyLimit:
    """413 for bodies over the limit, whether they announce their size or not, before anybody keeps them in memory."""

    def __init__(self, app: ASGIApp, most: int = LARGEST_BODY) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced[:20]) > self.most:
            await refusal(413, _too_large(self.most))(scope, receive, send)
            return
        await self.app(scope, _counted(receive, self.most), send)


def _too_large(most: int) -> str:
    return f"The request is larger than {most >> 20} MB, the most this server reads."


def _counted(receive: Receive, most: int) -> Receive:
    read = 0

    async def receive_some() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > most:
            raise _TooLarge(413, _too_large(most))
        return message

    return receive_some


def strict_json(raw: bytes) -> Any:
    """A body's JSON. Raises json.JSONDecodeError, also for NaN, numbers beyond a float, and more than `DEEPEST` levels.

    >>> strict_json(b'{"a": 1}')
    {'a': 1}
    >>> strict_json(b'[NaN]')
    Traceback (most recent call last):
    json.decoder.JSONDecodeError: NaN is no JSON number: line 1 column 1 (char 0)
    """
    try:
        value = json.loads(raw, parse_constant=_refuse_constant, parse_float=_finite)
        if raw.count(b"[") + raw.count(b"{") > DEEPEST:
            _refuse_depth(value)
        if b"\\ud" in raw.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise json.JSONDecodeError("nested too deeply", "", 0) from error
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        raise json.JSONDecodeError(str(error)[:100], "", 0) from error
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is no JSON number", "", 0)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _refuse_depth(value: Any) -> None:
    layer = [value]
    for _ in range(DEEPEST):
        layer = [inner for one in layer if isinstance(one, list | dict) for inner in _inside(one)]
        if not layer:
            return
    raise ValueError("nested too deeply")


def _inside(value: list[Any] | dict[str, Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


class _StrictRequest(Request):
    async def json(self) -> Any:
        return strict_json(await self.body())


class StrictRoute(APIRoute):
    """A route that reads its body with `strict_json`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, given our request."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strict


def new_router(prefix: str = "") -> APIRouter:
    """A router whose bodies are read strictly; use it for every route of ours."""
    return APIRouter(prefix=prefix, route_class=StrictRoute)
