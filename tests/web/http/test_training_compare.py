"""`/api/v1/training/compare`: begin, look, tables; as Ann and Bob see it."""

import json

import pytest
from services.small_things import TINY_ENGINE
from services.training_things import picture
from web.http.serving import eventually, running, write_checkpoint

BASE = "/api/v1/training/compare"
ANN, BOB = ("ann", "secret"), ("bob", "hidden")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Its engines are stopped: what is queued stays where it is."""
    folder = tmp_path_factory.mktemp("compare")
    write_checkpoint(folder / "models" / "Stable-diffusion" / "tiny.safetensors")
    with running(folder, "--nowebui", "--api-auth", "ann:secret,bob:hidden", engine=TINY_ENGINE) as served:
        eventually(lambda: served.studio.catalogue.now().samplers)
        served.studio.engines.stop()
        yield served


def ask(shared, path="", method="GET", login=ANN, **known):
    return shared.client.request(method, BASE + path, auth=login, **known)


def plan(shared, **fields):
    pictures = [picture(shared.studio, number) for number in range(3)]
    return {"pictures": pictures, "class_noun": "cat", "name": "my cat", "max_train_steps": 20} | fields


@pytest.fixture(scope="module")
def group(shared):
    answer = ask(shared, method="POST", json={"preset": "subject2subject", "plan": plan(shared), "seeds": 2})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_can_be_compared(shared):
    presets = ask(shared, "/presets/all").json()["presets"]
    assert [one["name"] for one in presets] == ["subject2subject", "prior", "class noun"]
    assert [one["label"] for one in presets[0]["arms"]] == ["Textual inversion", "Full fine-tuning", "LoRA"]


def test_it_begins_with_every_arm_and_seed(shared, group):
    assert (group["state"], group["part"], group["seeds"]) == ("waiting", 0, [1, 2])
    assert [one["arm"] for one in group["arms"]] == ["ti", "full", "lora"]
    assert all(len(one["runs"]) == 2 for one in group["arms"])
    assert group["columns"] == ["Textual inversion", "Full fine-tuning", "LoRA"]
    jobs = shared.client.get("/api/v1/jobs", auth=ANN).json()
    assert {one["id"] for one in jobs} >= {run["run"] for arm in group["arms"] for run in arm["runs"]}


def test_runs_are_trainings_of_ones_own(shared, group):
    run = group["arms"][0]["run"]
    assert shared.client.get(f"/api/v1/training/{run}", auth=ANN).json()["group"] == group["group"]
    assert shared.client.get(f"/api/v1/training/{run}", auth=BOB).status_code == 404


def test_the_table_as_json_csv_and_markdown(shared, group):
    folder = shared.studio.places.training / group["arms"][2]["run"]
    folder.mkdir(parents=True)
    measure = {"name": "clip_score", "label": "CLIP score", "value": 28.5, "better": "high", "floor": 10.0}
    shot = {"prompt": "a sks cat", "caption": "a cat", "pictures": ["evaluation/1.png"], "base": []}
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "1.png").write_bytes(b"\x89PNG")
    evaluation = {"measures": [measure], "caveats": ["Few pictures."], "prompts": [shot]}
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    found = ask(shared, f"/{group['group']}").json()
    assert found["state"] == "running"
    assert found["arms"][2]["runs"][0]["state"] == "done"
    (row,) = found["rows"]
    assert (row["label"], row["cells"][2]["text"], row["cells"][0]["value"]) == ("CLIP score", "28.50", None)
    assert row["cells"][2]["seeds"] == {"1": 28.5}
    assert "Few pictures." in found["notes"]
    (shown,) = found["grid"]
    assert (shown["prompt"], shown["base"]) == ("a cat", None)
    assert shared.client.get(shown["pictures"]["lora"], auth=ANN).content == b"\x89PNG"
    assert shared.client.get(shown["pictures"]["lora"], auth=BOB).status_code == 404
    table = ask(shared, f"/{group['group']}.csv")
    assert table.headers["content-type"].startswith("text/csv")
    assert "attachment" in table.headers["content-disposition"]
    assert "clip_score,CLIP score,high,lora,LoRA,28.5,,1,28.5,," in table.text
    markdown = ask(shared, f"/{group['group']}.md")
    assert "| CLIP score ↑ | – | – | 28.50 | 10.00 | – |" in markdown.text
    assert "- Few pictures." in markdown.text


def test_the_list_is_ones_own(shared, group):
    listed = ask(shared).json()
    assert group["group"] in [one["group"] for one in listed["comparisons"]]
    assert "rows" not in listed["comparisons"][0]
    assert ask(shared, login=BOB).json()["comparisons"] == []


@pytest.mark.parametrize(
    ("path", "method"), [("", "GET"), (".csv", "GET"), (".md", "GET"), ("/cancel", "POST"), ("", "DELETE")]
)
def test_others_are_not_found(shared, group, path, method):
    assert ask(shared, f"/{group['group']}{path}", method, BOB).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "plan"),
        ({"plan": {"no_such_field": 1}}, "no_such_field"),
        ({"plan": {"train_batch_size": "many"}}, "train_batch_size"),
        ({"plan": {}, "seeds": 0}, "seeds"),
        ({"plan": {}, "seeds": [-1]}, "seeds"),
        ({"plan": {}, "unknown": 1}, "unknown"),
        ({"plan": {}, "preset": "subjekt"}, "preset"),
        ({"plan": {}, "arms": [{"arm": "A b"}]}, "arms"),
        ({"plan": {}, "arms": [{"arm": "a"}, {"arm": "b"}]}, "arms"),
        ({"plan": {}, "arms": [{"arm": "a", "changes": {"rank": 4, "pictures": []}}]}, "pictures"),
        ({"plan": {}}, "pictures"),
    ],
)
def test_bodies_that_cannot_be_used(shared, body, field):
    answer = ask(shared, method="POST", json=body)
    assert answer.status_code == 422, answer.text
    assert field in answer.text


def test_own_arms_cancelled_and_forgotten(shared):
    arms = [{"arm": "r4", "label": "Rank 4", "changes": {"rank": 4}}, {"arm": "r64", "changes": {"rank": 64}}]
    body = {"preset": "prior", "plan": plan(shared), "seeds": [7], "arms": arms}
    group = ask(shared, method="POST", json=body).json()
    assert [one["label"] for one in group["arms"]] == ["Rank 4", "r64"]
    assert group["arms"][0]["changes"] == {"rank": 4}
    job = shared.studio.queue.job(group["arms"][1]["run"])
    assert (job.request.rank, job.request.seed, job.owner) == (64, 7, "ann")
    cancelled = ask(shared, f"/{group['group']}/cancel", "POST").json()
    assert {one["state"] for one in cancelled["arms"]} == {"cancelled"}
    assert ask(shared, f"/{group['group']}", "DELETE").status_code == 200
    assert ask(shared, f"/{group['group']}").status_code == 404


def test_without_a_login_nothing(shared, group):
    assert shared.client.get(f"{BASE}/{group['group']}").status_code == 401
