"""Server-sent events: news as they come, a comment when there are none, never more open than one client needs."""

import json
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import anyio
from fastapi import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

News = tuple[str, Mapping[str, Any]] | tuple[str, Mapping[str, Any], int] | None

HEARTBEAT = 15.0  # seconds without news after which a comment is sent, so that a lost reader is noticed
SLOWEST = 30.0  # seconds a reader may take for one piece before it is dropped
MOST_OF_ONE = 24  # a browser opens six per tab at most
MOST_OF_ALL = 2_000
RECONNECT_MS = 2_000


class OpenStreams:
    """How many streams each client has open. Used from one event loop."""

    def __init__(self, most_of_one: int = MOST_OF_ONE, most_of_all: int = MOST_OF_ALL) -> None:
        self._most_of_one, self._most_of_all = most_of_one, most_of_all
        self._open: Counter[str] = Counter()

    def claim(self, client: str) -> None:
        """One more. Raises HTTPException 429."""
        if self._open[client] >= self._most_of_one or self._open.total() >= self._most_of_all:
            raise HTTPException(429, "Too many live views are open; close some tabs.", {"Retry-After": "10"})
        self._open[client] += 1

    def release(self, client: str) -> None:
        """One less."""
        self._open[client] -= 1
        if self._open[client] <= 0:
            del self._open[client]


class EventStream(Response):
    """An answer that sends each of `news` as one event, and ends with them, with the reader, or when it is too slow.

    `news`: pairs of an event's name ("" for the plain kind) and its JSON content, or None for "nothing new". A third
    part is the event's id, by which a reader who comes back says what it has (`Last-Event-ID`).
    """

    media_type = "text/event-stream"

    def __init__(self, news: AsyncGenerator[News, None], streams: OpenStreams, client: str) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._news, self._streams, self._client = news, streams, client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until one side ends."""
        self._streams.claim(self._client)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async with anyio.create_task_group() as group:

                async def watch_reader() -> None:
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    group.cancel_scope.cancel()

                group.start_soon(watch_reader)
                await self._send_all(send)
                group.cancel_scope.cancel()
        finally:
            self._streams.release(self._client)

    async def _send_all(self, send: Send) -> None:
        try:
            await _send_piece(send, f"retry: {RECONNECT_MS}\n\n")
            async with aclosing(self._news) as news:
                async for one in news:
                    await _send_piece(send, _written(one))
        except TimeoutError:
            return  # the reader is too slow or gone; it comes back by itself and finds the newest state
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _written(news: News) -> str:
    if news is None:
        return ": nothing new\n\n"
    name, content, *id = news
    lines = [f"event: {name}"] if name else []
    return "\n".join([*lines, *(f"id: {one}" for one in id), f"data: {json.dumps(content)}", "", ""])


async def _send_piece(send: Send, text: str) -> None:
    with anyio.fail_after(SLOWEST):
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
