"""Headers on every answer, refusals and faults included."""

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient
from web.http.inventory import addresses

from modules.core.errors import EngineLost, NoModel, QueueFull
from modules.core.extension_points import Routes
from modules.web.http.app import build_app

SAFE = ["x-content-type-options", "content-security-policy", "referrer-policy", "cross-origin-resource-policy"]


def test_every_answer_has_them(api):
    for one in addresses(api.app):
        answer = api.client.request(one.method, one.path)
        for name in (*SAFE, "x-process-time"):
            assert name in answer.headers, f"{one}: {name}"
        assert "access-control-allow-origin" not in answer.headers, str(one)
        assert float(answer.headers["x-process-time"]) >= 0


def test_refusals_have_them_too(api):
    for answer in (
        api.client.get("/", headers={"Host": "evil.com"}),
        api.client.get("/nothing"),
        api.client.post("/sdapi/v1/options", json={"no_such": 1}),
        api.client.post("/sdapi/v1/txt2img", json={"width": 7}),
    ):
        assert all(name in answer.headers for name in (*SAFE, "x-process-time"))


def test_no_other_site_is_told_anything(api):
    asked = {"Origin": "http://evil.com", "Access-Control-Request-Method": "POST"}
    answer = api.client.options("/sdapi/v1/txt2img", headers=asked)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_large_answers_are_compressed_small_ones_are_not(api):
    assert api.client.get("/openapi.json").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in api.client.get("/internal/ping").headers
    plain = api.client.get("/openapi.json", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers


def test_pages_may_load_only_from_here(serve):
    page = serve(page=True).client.get("/", headers={"Accept": "text/html"})
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert not [
        source for sources in policy.values() for source in sources.split() if "http" in source or "*" in source
    ]
    assert policy["object-src"] == "'none'"


def faulty(error: Exception) -> Routes:
    def build(studio) -> APIRouter:
        router = APIRouter()

        @router.get("/faulty")
        def fail() -> None:
            raise error

        return router

    return Routes(name="faulty", build=build)


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (ZeroDivisionError("by zero"), 500, {"error": "ZeroDivisionError", "detail": "", "errors": "by zero"}),
        (EngineLost("It ended."), 500, {"error": "EngineLost", "detail": "", "errors": "It ended."}),
        (NoModel("None."), 503, {"error": "HTTPException", "detail": "None.", "errors": "503: None."}),
        (QueueFull("Full."), 503, {"error": "HTTPException", "detail": "Full.", "errors": "503: Full."}),
    ],
)
def test_errors_in_the_shape_clients_read(api, error, status, body):
    app = build_app(api.studio, None, [faulty(error)])
    client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    answer = client.get("/faulty")
    assert (answer.status_code, answer.json()) == (status, {"body": "", **body})
    assert all(name in answer.headers for name in SAFE[:1])
    assert ("retry-after" in answer.headers) == (status == 503)
