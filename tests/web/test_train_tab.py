"""What the Train tab costs who does not open it, and its scripts and looks when somebody does."""

import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from modules.web.http import answers
from modules.web.http.routes import page_parts, training_draw
from modules.web.page import ASSETS, LATER, later_script, later_style, page_head


@pytest.fixture(scope="module")
def client():
    app = FastAPI()
    app.include_router(page_parts.build(None))  # type: ignore[arg-type]
    answers.install(app)
    return TestClient(app)


def test_a_part_holds_all_of_its_scripts_and_nothing_from_outside():
    script = later_script("train")
    assert set(LATER["train"]) == {path.stem for path in (ASSETS / "train").glob("*.js")}
    assert not re.search(r"""["'`](?:https?:)?//\w""", script)
    assert script.startswith("(() => {'use strict';")
    assert not re.search(r"@import|url\(['\"]?(?:https?:)?//\w", later_style("train"))


def test_the_page_itself_carries_only_the_element():
    head = page_head()
    assert 'customElements.define("at-train"' in head
    assert "class StartPage" not in head


def test_parts_are_served_and_kept_by_browsers(client):
    for ending, kind in (("js", "text/javascript"), ("css", "text/css")):
        answer = client.get(f"/api/v1/page-parts/train.{ending}")
        assert answer.headers["content-type"].startswith(kind)
        again = client.get(f"/api/v1/page-parts/train.{ending}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["x", "..%2fpage", "train.js"])
def test_no_other_file_is_served(client, name):
    assert client.get(f"/api/v1/page-parts/{name}.js").status_code == 404


class _Studio:
    """A desk that notes what it is asked for."""

    def __init__(self, defaults):
        self.desk = self.library = self
        self.defaults = lambda model: defaults
        self.asked = []

    def find(self, name):
        return name

    def current_model(self):
        return "chosen"

    def submit(self, request, *, owner):
        self.asked.append(request)
        return type("Job", (), {"id": "7"})


def test_a_look_at_a_token_is_a_picture_that_nobody_keeps():
    from modules.core.requests import ImageRequest

    studio = _Studio(ImageRequest(prompt="", steps=9))
    app = FastAPI()
    app.include_router(training_draw.build(studio))  # type: ignore[arg-type]
    drawing = TestClient(app)
    assert drawing.post("/api/v1/training/draw", json={"prompt": "a photo of sks cat", "model": "m"}).json() == {
        "job": "7"
    }
    (asked,) = studio.asked
    assert (asked.prompt, asked.seed, asked.steps, asked.save) == ("a photo of sks cat", 61, 9, False)
    assert drawing.post("/api/v1/training/draw", json={"prompt": "x" * 3000}).status_code == 422
