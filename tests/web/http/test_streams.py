"""Server-sent events: a heartbeat, a reader that does not read, and news as they are written."""

import anyio
import pytest
from fastapi import HTTPException

from modules.web.http import streams
from modules.web.http.streams import EventStream, OpenStreams


class Wire:
    """What a web server gives an application: collects what is sent; `stuck` never takes more than the head."""

    def __init__(self, stuck: bool = False) -> None:
        self.sent: list[dict] = []
        self.stuck = stuck

    async def send(self, message) -> None:
        self.sent.append(message)
        if self.stuck and message["type"] == "http.response.body":
            await anyio.sleep_forever()

    async def receive(self):
        await anyio.sleep_forever()

    @property
    def text(self) -> str:
        return b"".join(one.get("body", b"") for one in self.sent).decode()


async def few():
    yield "", {"step": 1}
    yield None
    yield "end", {"text": "a\nb é"}


def run(response: EventStream, wire: Wire) -> None:
    async def call() -> None:
        await response({"type": "http"}, wire.receive, wire.send)

    anyio.run(call)


def test_news_and_heartbeats():
    wire, places = Wire(), OpenStreams()
    run(EventStream(few(), places, "me"), wire)
    expected = 'retry: 2000\n\ndata: {"step": 1}\n\n: nothing new\n\nevent: end\ndata: {"text": "a\\nb \\u00e9"}\n\n'
    assert wire.text == expected
    assert not wire.sent[-1]["more_body"]


def test_a_reader_that_does_not_read_is_dropped(monkeypatch):
    monkeypatch.setattr(streams, "SLOWEST", 0.05)
    places = OpenStreams(most_of_one=1)
    run(EventStream(few(), places, "me"), Wire(stuck=True))
    places.claim("me")


def test_places_are_counted_by_client():
    places = OpenStreams(most_of_one=2, most_of_all=3)
    places.claim("a")
    places.claim("a")
    with pytest.raises(HTTPException) as refused:
        places.claim("a")
    assert refused.value.status_code == 429
    places.claim("b")
    with pytest.raises(HTTPException):
        places.claim("c")
    places.release("a")
    places.claim("c")


def test_an_error_in_the_news_frees_the_place():
    async def broken():
        yield "", {}
        raise RuntimeError("no more")

    places = OpenStreams(most_of_one=1)
    with pytest.raises(ExceptionGroup):
        run(EventStream(broken(), places, "me"), Wire())
    places.claim("me")
