"""The training routes that are asked before a start: form, check, tokens, folder, example."""

import io
import json
from dataclasses import fields

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from modules.core.fields import shown_fields
from modules.core.training import TrainingPlan
from modules.services.training.presets import PRESETS


def png(colour, side=96):
    picture = Image.effect_noise((side, side), 60).convert("RGB")
    picture.paste(colour, (0, 0, side // 2, side // 2))
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()


@pytest.fixture(scope="module")
def three(api):
    """Ids of three stored pictures."""
    return [
        api.client.post("/api/v1/inputs", content=png(colour)).raise_for_status().json()["id"]
        for colour in ("red", "green", "blue")
    ]


# The form ----------------------------------------------------------------------------------------------------------------


def test_the_form_is_made_of_the_plans_fields(api):
    form = api.client.get("/api/v1/training/form").raise_for_status().json()
    known = {one.name: (one, shown) for one, shown in shown_fields(TrainingPlan())}
    assert {one["name"] for one in form["fields"]} == set(known)
    for described in form["fields"]:
        field, shown = known[described["name"]]
        assert (described["label"], described["default"]) == (shown.label, field.default)
        assert described["type"] in ("text", "number", "integer", "choice", "checkbox")
        assert described["section"] in form["sections"]
    by_name = {one["name"]: one for one in form["fields"]}
    assert by_name["rank"]["type"] == "integer"
    assert (by_name["rank"]["maximum"], by_name["rank"]["highest"]) == (256, 1024)
    assert by_name["use_ema"]["type"] == "checkbox"
    assert by_name["optimizer"]["options"][0] == "AdamW"
    assert by_name["class_sampler"]["choices"] == "samplers"
    basic = [one["name"] for one in form["fields"] if one["section"] == "Basic"]
    assert basic[:3] == ["method", "model", "class_noun"]
    assert len(basic) == 9
    assert form["sections"][0] == "Basic"


def test_the_form_lists_what_there_is(api):
    form = api.client.get("/api/v1/training/form").json()
    assert [one["name"] for one in form["presets"]] == [one.name for one in PRESETS]
    assert form["presets"][0]["values"]["method"] == "lora"
    assert {"lora", "dreambooth", "textual_inversion", "custom_diffusion"} <= {one["name"] for one in form["methods"]}
    assert all(one["formats"] and one["learning_rate"] > 0 and one["label"] for one in form["methods"])
    assert any("tiny" in one for one in form["models"])
    assert form["samplers"]
    assert form["limits"]["pictures"] == 2000
    assert form["folder"]["any"] is True


def test_the_example(api):
    known = api.client.get("/api/v1/training/example").raise_for_status().json()
    assert 3 <= len(known["pictures"]) <= 5
    assert known["captions"] == [one["caption"] for one in known["pictures"]]
    assert (known["identifier"], known["class_noun"]) == ("sks", "cat")
    stored = api.client.get(f"/api/v1/inputs/{known['pictures'][0]['id']}")
    assert Image.open(io.BytesIO(stored.content)).width >= 128
    body = {
        "pictures": [one["id"] for one in known["pictures"]],
        "captions": known["captions"],
        "class_noun": known["class_noun"],
        "preset": "",
    }
    checked = api.client.post("/api/v1/training/check", json=body).json()
    assert checked["level"] == "green"
    assert [one for one in checked["problems"] if one["field"] in ("pictures", "captions")] == []


# Checking ----------------------------------------------------------------------------------------------------------------


def test_check(api, three):
    body = {"pictures": three, "names": ["a.png", "b.png", "c.png"], "class_noun": "cat", "identifier": "special"}
    answer = api.client.post("/api/v1/training/check", json=body).raise_for_status().json()
    assert answer["level"] == "amber"
    (problem,) = answer["problems"]
    assert problem["field"] == "identifier"
    assert set(problem["fix"]) == {"label", "changes"}
    assert [one["name"] for one in answer["pictures"]] == ["a.png", "b.png", "c.png"]
    assert answer["plan"]["resolution"] == 64
    assert answer["plan"]["instance_prompt"] == "a photo of special cat"
    mended = api.client.post("/api/v1/training/check", json=body | problem["fix"]["changes"]).json()
    assert mended["level"] == "green"
    assert api.jobs() == 0  # nothing is queued


def test_an_empty_body_is_answered_an_unknown_field_is_not(api):
    empty = api.client.post("/api/v1/training/check", json={})
    assert (empty.status_code, empty.json()["level"]) == (200, "red")
    unknown = api.client.post("/api/v1/training/check", json={"ranks": 3})
    assert unknown.status_code == 422
    assert "ranks" in unknown.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = [one.name for one in fields(TrainingPlan)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4) | JSON)
def test_any_body_is_answered(api, body):
    answer = api.client.post("/api/v1/training/check", content=json.dumps(body))
    assert answer.status_code in (200, 400, 422), answer.text


@pytest.mark.parametrize("text", ['{"rank": Infinity}', '{"learning_rate": NaN}', "[-Infinity]", '{"steps": 1e999}'])
def test_what_json_cannot_say_is_refused(api, text):
    """Python reads NaN and Infinity, which JSON does not have; an answer that repeats them could not be written."""
    answer = api.client.post("/api/v1/training/check", content=text)
    assert answer.status_code == 422, answer.text
    answer.json()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON)
def test_any_folder_is_answered(api, path):
    answer = api.client.post("/api/v1/training/folder", content=json.dumps({"path": path}))
    assert answer.status_code in (200, 422), answer.text


# Tokens ------------------------------------------------------------------------------------------------------------------


def test_tokens(api):
    def asked(text):
        return api.client.get("/api/v1/training/tokens", params={"text": text}).raise_for_status().json()

    assert asked("sks")["ids"] == [48136]
    assert asked("xxy5syt00")["pieces"] == ["xx", "y", "5", "sy", "t", "0", "0"]
    assert (asked("xxy5syt00")["level"], asked("ohwx")["level"]) == ("amber", "green")
    assert (asked("ohwx")["rare"], asked("ohwx")["remarks"]) == (True, [])
    assert "colour" in asked("Blue")["remarks"][0]
    assert asked("")["pieces"] == []
    assert api.client.get("/api/v1/training/tokens", params={"text": "a" * 3000}).status_code == 422


def test_rare_tokens(api):
    def asked(**known):
        return api.client.get("/api/v1/training/tokens/rare", params=known)

    first = asked(count=5, seed=7).json()
    assert first == asked(count=5, seed=7).json()
    assert len(set(first["tokens"])) == 5
    drawn = asked().json()
    assert len(drawn["tokens"]) == 10
    assert asked(seed=drawn["seed"]).json() == drawn
    assert len(set(asked(count=627, seed=1).json()["tokens"])) == 627
    for bad in ({"count": 0}, {"count": 628}, {"seed": -1}, {"seed": 2**63}, {"count": "x"}):
        assert asked(**bad).status_code == 422


# Folders -----------------------------------------------------------------------------------------------------------------


def test_folder(api, tmp_path):
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(png("red", 60 + number))
    (tmp_path / "0.txt").write_text("a photo of sks cat")
    answer = api.client.post("/api/v1/training/folder", json={"path": str(tmp_path)}).raise_for_status().json()
    assert [one["name"] for one in answer["pictures"]] == ["0.png", "1.png"]
    assert [one["caption_source"] for one in answer["pictures"]] == ["txt", "none"]
    assert answer["captions"]["txt"] == 1
    assert answer["folder"] == str(tmp_path)
    for one in answer["pictures"]:
        assert api.client.get(f"/api/v1/inputs/{one['id']}").status_code == 200
    missing = api.client.post("/api/v1/training/folder", json={"path": str(tmp_path / "x")})
    assert missing.status_code == 422
    assert missing.json()["detail"][0]["loc"] == ["body", "folder"]
