"""What a server tells of itself, and ending it from afar."""

import os
import signal
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from modules.web.http import answers
from modules.web.http.routes import sdapi_server


def test_what_it_tells(api):
    told = api.client.get("/internal/sysinfo").json()
    assert told["Commandline"]["nowebui"] is True
    assert told["Config"]["emphasis"] == "Original"
    assert told["RAM"]["total"] > told["RAM"]["available"] > 0
    assert any("tiny" in one for one in told["Models"])
    file = api.client.get("/internal/sysinfo-download")
    assert file.headers["content-disposition"] == 'attachment; filename="sysinfo.json"'
    assert file.json().keys() == told.keys()
    assert api.client.get("/internal/profile-startup").json()["total"] == 0


def test_it_tells_no_passwords(serve):
    served = serve("--nowebui", "--api-auth", "ann:secret", "--gradio-auth", "bob:hidden")
    text = served.client.get("/internal/sysinfo", auth=("ann", "secret")).text
    assert "secret" not in text
    assert "hidden" not in text


def test_who_one_is(api, serve):
    assert api.client.get("/token").json() == {"token": None, "user": None}
    served = serve("--nowebui", "--api-auth", "ann:secret")
    assert served.client.get("/token", auth=("ann", "secret")).json() == {"token": None, "user": "ann"}


@pytest.mark.parametrize("path", ["server-stop", "server-kill", "server-restart"])
def test_nobody_ends_the_server(api, path):
    assert api.client.post(f"/sdapi/v1/{path}").status_code == 404


def test_with_the_flag_it_ends_in_good_order(monkeypatch):
    ended = []

    class AtOnce:
        def __init__(self, seconds, call, arguments) -> None:
            self.start = lambda: call(*arguments)

    monkeypatch.setattr(os, "kill", lambda *arguments: ended.append(arguments))
    monkeypatch.setattr(sdapi_server.threading, "Timer", AtOnce)
    app = FastAPI()
    answers.install(app)
    app.include_router(sdapi_server.build(SimpleNamespace(flags=SimpleNamespace(api_server_stop=True))))
    client = TestClient(app)
    assert client.post("/sdapi/v1/server-stop").text == "Stopping."
    assert client.post("/sdapi/v1/server-kill").status_code == 200
    assert ended == [(os.getpid(), signal.SIGTERM)] * 2
    refused = client.post("/sdapi/v1/server-restart")
    assert (refused.status_code, "start it" in refused.json()["detail"]) == (501, True)
