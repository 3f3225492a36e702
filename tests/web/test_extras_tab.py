"""What the Extras tab makes of the form and of what the page's script sends beside it."""

import json
from types import SimpleNamespace

import pytest

from modules.core.errors import InvalidRequest
from modules.core.events import Catalogue, Choice
from modules.core.requests import FileRecord, UpscaleRequest
from modules.web.tabs import extras
from modules.web.tabs.extras import models_note, upscaler_names, with_pictures


def file(name, problem=""):
    return FileRecord(kind="upscaler", name=name, path=f"/x/{name}.pth", size=1, modified=1, problem=problem)


def studio(*files):
    known = Catalogue(upscalers=tuple(Choice(name=name) for name in ("None", "Lanczos", "Nearest")))
    return SimpleNamespace(
        catalogue=SimpleNamespace(now=lambda: known), shelf=SimpleNamespace(files=lambda kind: files)
    )


def test_pictures_come_with_their_names():
    sent = json.dumps([{"id": "a", "name": "cat.png"}, {"id": "b"}, {"id": "c", "name": "x" * 999}])
    request = with_pictures(UpscaleRequest(upscale_by=2), sent)
    assert request.pictures == ("a", "b", "c")
    assert request.names == ("cat.png", "", "x" * 255)
    assert request.upscale_by == 2


@pytest.mark.parametrize(
    "text",
    ["no json", "3", "{}x", "[3]", '[{"name": "x"}]', '[{"id": 3}]', '[{"id": "a", "name": 3}]', '{"id": "a"}', "null"],
)
def test_what_the_script_would_not_send_is_refused(text):
    with pytest.raises(InvalidRequest) as caught:
        with_pictures(UpscaleRequest(), text)
    assert caught.value.problems[0].field == "pictures"


def test_too_many_are_refused():
    with pytest.raises(InvalidRequest, match="501"):
        with_pictures(UpscaleRequest(), json.dumps([{"id": "a"}] * 501))


@pytest.mark.parametrize("text", ["", "[]"])
def test_no_picture_is_left_to_the_desk(text):
    with pytest.raises(InvalidRequest, match="no picture to make larger"):
        with_pictures(UpscaleRequest(), text).checked()


def test_names_of_files_follow_those_that_need_none():
    assert upscaler_names(studio(file("4x"), file("broken", "is broken"))) == ["None", "Lanczos", "Nearest", "4x"]


def test_the_note_says_what_is_missing(monkeypatch):
    assert "models/ESRGAN" in models_note(studio())
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert "pip install spandrel torchvision" in models_note(studio(file("4x")))
    monkeypatch.setattr(extras, "find_spec", lambda name: object())
    assert models_note(studio(file("4x"))) == ""
