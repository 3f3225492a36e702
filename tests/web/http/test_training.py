"""`/api/v1/training`: a training from its start to its files, as two people see it."""

import json

import pytest
from services.training_things import TINY_TRAINER, picture
from web.http.serving import eventually, running, write_checkpoint

from modules.core.requests import ImageRequest

ANN, BOB = ("ann", "secret"), ("bob", "hidden")
BASE = "/api/v1/training"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    write_checkpoint(folder / "models" / "Stable-diffusion" / "tiny.safetensors")
    with running(folder, "--nowebui", "--api-auth", "ann:secret,bob:hidden", engine=TINY_TRAINER) as served:
        eventually(lambda: served.studio.catalogue.now().samplers)
        yield served


def body(shared, **fields):
    """What Ann asks for: three pictures of a cat."""
    pictures = [picture(shared.studio, number) for number in range(3)]
    known = {"pictures": pictures, "class_noun": "cat", "name": "mycat", "max_train_steps": 20, "seed": 3}
    return known | fields


def ask(shared, path: str, method: str = "POST", login=ANN, **known):
    return shared.client.request(method, BASE + path, auth=login, **known)


def begun(shared, **fields) -> dict:
    answer = ask(shared, "", json=body(shared, **fields))
    assert answer.status_code == 200, answer.text
    return answer.json()


def view(shared, run: str) -> dict:
    return ask(shared, f"/{run}", "GET").json()


def over(shared, run: str) -> dict:
    return eventually(lambda: (one := view(shared, run))["over"] and one)


@pytest.fixture(scope="module")
def finished(shared) -> dict:
    """A training of Ann's that is done."""
    return over(shared, begun(shared, class_noun="quick cat", max_train_steps=30)["run"])


def stream(shared, run: str, after: int = 0, headers=None) -> list[tuple[str, dict, str]]:
    """Every event (name, content, id) until the server ends the stream."""
    path = f"{BASE}/{run}/events?after={after}"
    with shared.client.stream("GET", path, auth=ANN, headers=headers or {}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        pieces = "".join(answer.iter_text()).split("\n\n")[1:]
    events = []
    for piece in pieces:
        if piece and not piece.startswith(":"):
            lines = dict(line.split(": ", 1) for line in piece.split("\n"))
            events.append((lines["event"], json.loads(lines["data"]), lines.get("id", "")))
    return events


def test_from_the_start_to_the_files(shared, finished):
    assert (finished["state"], finished["job"]["state"]) == ("done", "done")
    assert (finished["step"], finished["steps"]) == (30, 30)
    assert finished["run"] == finished["job"]["id"]
    assert finished["plan"]["learning_rate"] > 0, "what was 0 is the usual value"
    assert finished["numbers"]["step"] == 30
    assert [one["step"] for one in finished["previews"]] == [0, 10, 20, 30]
    assert [one["step"] for one in finished["snapshots"]] == [10, 20, 30]
    assert [one["caption"] for one in finished["pictures"]] == ["sks cat"]
    (file,) = finished["files"]
    assert (file["name"], file["file"]) == ("mycat", "mycat.safetensors")
    assert str(shared.studio.places.data) not in json.dumps(finished), "no paths of the server"
    for url in (file["url"], finished["pictures"][0]["url"], finished["previews"][1]["pictures"][0]):
        assert shared.client.get(url, auth=ANN).status_code == 200, url
    result = shared.client.get(file["url"], auth=ANN)
    assert result.headers["content-disposition"].startswith("attachment")
    networks = shared.client.get("/api/v1/models", auth=ANN).json()["models"]
    assert [one["trigger"] for one in networks if one["kind"] == "lora"] == ["sks cat"]


def test_events_tell_all_of_it_and_a_reader_may_come_back(shared):
    run = begun(shared, max_train_steps=40)["run"]
    events = stream(shared, run)
    names = [name for name, _, _ in events]
    assert (names[0], names[-1]) == ("status", "end")
    assert {"numbers", "preview"} < set(names)
    told = [line["step"] for name, content, _ in events if name == "numbers" for line in content["numbers"]]
    assert told == [*range(1, 41)]
    assert events[-1][1]["state"] == "done"
    ids = [id for name, _, id in events if name == "numbers"]
    assert ids[-1] == "40"
    again = stream(shared, run, headers={"Last-Event-ID": "35"})
    (numbers,) = [content for name, content, _ in again if name == "numbers"]
    assert (numbers["after"], [line["step"] for line in numbers["numbers"]]) == (35, [36, 37, 38, 39, 40])
    (numbers,) = [content for name, content, _ in stream(shared, run, after=39) if name == "numbers"]
    assert [line["step"] for line in numbers["numbers"]] == [40]


def test_the_log(shared, finished):
    run = finished["run"]
    assert [line["step"] for line in ask(shared, f"/{run}/log", "GET").json()["numbers"]] == [*range(1, 31)]
    later = ask(shared, f"/{run}/log?after=28", "GET").json()
    assert (later["after"], [line["step"] for line in later["numbers"]]) == (28, [29, 30])


def test_pause_resume_steer_and_stop(shared):
    run = begun(shared, max_train_steps=60)["run"]
    eventually(lambda: view(shared, run)["state"] == "training")
    assert ask(shared, f"/{run}/sample").status_code == ask(shared, f"/{run}/save").status_code == 200
    refused = ask(shared, f"/{run}/resume")
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "run"])
    assert ask(shared, f"/{run}", "DELETE").status_code == 422
    ask(shared, f"/{run}/pause")
    paused = over(shared, run)
    assert (paused["state"], paused["job"]["state"]) == ("paused", "interrupted")
    for wish in ("pause", "finish", "sample", "stop"):
        assert ask(shared, f"/{run}/{wish}").status_code == 422, wish
    assert ask(shared, f"/{run}/resume").json()["state"] == "waiting"
    eventually(lambda: view(shared, run)["state"] == "training")
    ask(shared, f"/{run}/finish")
    ended = over(shared, run)
    assert (ended["state"], ended["job"]["state"], bool(ended["files"])) == ("stopped", "done", True)
    steps = [line["step"] for line in ask(shared, f"/{run}/log", "GET").json()["numbers"]]
    assert steps == [*range(1, len(steps) + 1)]


def test_stopped(shared):
    run = begun(shared, max_train_steps=500)["run"]
    eventually(lambda: view(shared, run)["state"] == "training")
    assert 0 < eventually(lambda: view(shared, run)["eta"]) < 60
    ask(shared, f"/{run}/stop")
    assert (over(shared, run)["state"], view(shared, run)["job"]["state"]) == ("stopped", "cancelled")


def test_what_cannot_be_is_said_with_its_field(shared):
    def told(**fields):
        answer = ask(shared, "", json=body(shared, **fields))
        assert answer.status_code == 422
        return [one["loc"][-1] for one in answer.json()["detail"]]

    assert told(pictures=[]) == ["pictures"]
    assert told(pictures=["0" * 64]) == ["pictures"]
    assert told(rank=0, train_batch_size=-3) == ["train_batch_size", "rank"]
    assert told(name="../../outside") == ["name"]
    assert told(model="nowhere") == ["model"]
    assert told(preset="nothing like it") == ["preset"]
    assert told(unknown=1) == ["unknown"]
    assert told(run="0" * 32) == ["run"], "one goes on with a run by its own address"
    assert told(loss="l9") == ["loss"]


def test_a_preset_gives_what_is_not_said(shared):
    plan = {"pictures": body(shared)["pictures"], "class_noun": "quick cat", "preset": "Person or pet, LoRA"}
    run = ask(shared, "", json=plan | {"rank": 4, "max_train_steps": 10}).json()
    assert (run["plan"]["rank"], run["plan"]["method"], run["plan"]["train_text_encoder"]) == (4, "lora", True)
    over(shared, run["run"])


def test_measured_before(shared):
    run = ask(shared, "/measure", json=body(shared, class_noun="quick cat")).json()["run"]
    assert over(shared, run)["measure"]["fits"]
    assert run not in [one["run"] for one in ask(shared, "", "GET").json()["runs"]]


def test_evaluated(shared, finished):
    run = finished["run"]
    asked = ask(shared, f"/{run}/evaluate", json={"pack": "quick", "pictures": 2}).json()
    assert asked["evaluating"]["kind"] == "evaluate"
    assert over(shared, run)["evaluation"]["measures"] == [{"name": "identity", "value": 0.9}]
    assert ask(shared, f"/{run}/evaluate", json={"pack": "all"}).status_code == 422


def test_a_snapshot_published(shared, finished):
    run = finished["run"]
    (file,) = ask(shared, f"/{run}/publish", json={"snapshot": 20}).json()["files"]
    assert file == {"kind": "lora", "name": "mycat-000020.safetensors", "use": "mycat-000020"}
    (second,) = ask(shared, f"/{run}/publish", json={"snapshot": 20}).json()["files"]
    assert second["name"] == "mycat-000020 (1).safetensors", "nothing is overwritten"
    names = {one["name"] for one in shared.client.get("/api/v1/models", auth=ANN).json()["models"]}
    assert {"mycat-000020", "mycat-000020 (1)"} <= names
    missing = ask(shared, f"/{run}/publish", json={"snapshot": 15}).json()["detail"][0]
    assert (missing["loc"][-1], "10, 20, 30" in missing["msg"]) == ("snapshot", True)
    for name in ("../x", "a/b", ".hidden", "x" * 150 + "ü" * 50):
        assert ask(shared, f"/{run}/publish", json={"snapshot": 20, "name": name}).status_code == 422, name


def test_again(shared, finished):
    same = over(shared, ask(shared, f"/{finished['run']}/again").json()["run"])
    assert same["run"] != finished["run"]
    assert same["plan"] == finished["plan"]
    other = ask(shared, f"/{finished['run']}/again", json={"seed": -1}).json()
    assert other["plan"]["seed"] not in (-1, finished["plan"]["seed"])
    over(shared, other["run"])


def test_deleted_and_back(shared):
    run = over(shared, begun(shared, class_noun="quick cat", max_train_steps=10)["run"])["run"]
    token = ask(shared, f"/{run}", "DELETE").json()["token"]
    assert ask(shared, f"/{run}", "GET").status_code == 404
    assert run not in ask(shared, "", "GET").text
    assert not (shared.studio.places.training / run).exists()
    assert ask(shared, f"/trash/{token}/restore").json()["numbers"]["step"] == 10
    assert run in ask(shared, "", "GET").text
    assert ask(shared, f"/trash/{token}/restore").status_code == 404


def test_the_list_comes_in_pages(shared, finished):
    runs = [one["run"] for one in ask(shared, "", "GET").json()["runs"]]
    assert finished["run"] in runs
    first = ask(shared, "?limit=1", "GET").json()["runs"]
    second = ask(shared, f"?limit=1&before={first[0]['run']}", "GET").json()["runs"]
    assert [first[0]["run"], *[one["run"] for one in second]] == runs[: 1 + len(second)]


@pytest.mark.parametrize(
    "path",
    [
        "checkpoint/step",
        "../" * 3 + "config.json",
        "..%2F..%2Fatelier.sqlite3",
        "%2e%2e/%2e%2e/config.json",
        "/etc/passwd",
        "previews",
        "plan",
        "\\..\\x.json",
        "link.json",
        "previews/000000/.hidden.png",
        "x" * 3000 + ".png",
        "%00.png",
    ],
)
def test_no_file_but_those_of_the_run(shared, finished, path):
    """Row 33 and 34."""
    folder = shared.studio.places.training / finished["run"]
    secret = shared.studio.places.data / "secret.json"
    secret.write_text("{}")
    if not (folder / "link.json").is_symlink():
        (folder / "link.json").symlink_to(secret)
    (folder / "previews" / "000000" / ".hidden.png").write_bytes(b"x")
    assert ask(shared, f"/{finished['run']}/files/{path}", "GET").status_code == 404


def test_another_ones_training_is_not_there(shared, finished):
    run, unknown = finished["run"], "0" * 32
    asked = [("GET", ""), ("GET", "/log"), ("GET", "/events"), ("GET", "/files/log.jsonl"), ("DELETE", "")]
    asked += [("GET", "/results/mycat.safetensors")]
    asked += [("POST", f"/{one}") for one in ("sample", "save", "finish", "pause", "stop", "resume", "again")]
    for method, end in asked:
        answers = [ask(shared, f"/{one}{end}", method, BOB) for one in (run, unknown)]
        assert [one.status_code for one in answers] == [404, 404], (method, end)
        assert answers[0].text.replace(run, unknown) == answers[1].text
    for end, sent in (("/publish", {"snapshot": 10}), ("/evaluate", {})):
        assert ask(shared, f"/{run}{end}", login=BOB, json=sent).status_code == 404
    assert ask(shared, "", "GET", BOB).json() == {"runs": []}
    assert view(shared, run)["state"] == "done"


def test_class_pictures(shared):
    run = over(shared, begun(shared, class_prompt="a photo of cat", class_noun="quick cat", max_train_steps=10)["run"])
    assert run["plan"]["class_prompt"] == "a photo of cat"
    folder = shared.studio.places.training / "class-pictures" / "abcdef12"
    folder.mkdir(parents=True)
    (folder / "about.json").write_text(json.dumps({"prompt": "a photo of cat", "model": "tiny"}))
    for seed in (2, 10, 1):
        (folder / f"{seed}.png").write_bytes(b"png")
    base = "/class-pictures"
    (one,) = ask(shared, base, "GET").json()["sets"]
    assert (one["prompt"], one["count"], [each["seed"] for each in one["pictures"]]) == (
        "a photo of cat",
        3,
        [1, 2, 10],
    )
    assert shared.client.get(one["pictures"][0]["url"], auth=ANN).content == b"png"
    assert ask(shared, base, "GET", BOB).json() == {"sets": []}, "somebody else's words"
    for method, path in (("GET", "/abcdef12/1.png"), ("DELETE", "/abcdef12/1"), ("DELETE", "/abcdef12")):
        assert ask(shared, base + path, method, BOB).status_code == 404
    assert ask(shared, f"{base}/abcdef12/2", "DELETE").json() == {"removed": 1}
    assert sorted(one.name for one in folder.iterdir()) == ["1.png", "10.png", "2.unwanted", "about.json"]
    assert ask(shared, f"{base}/abcdef12", "DELETE").json() == {"removed": 2}
    assert ask(shared, base, "GET").json() == {"sets": []}


def test_the_schema_names_the_fields(shared):
    schemas = shared.client.get("/openapi.json", auth=ANN).json()["components"]["schemas"]
    assert "description" in schemas["TrainingPlanBody"]["properties"]["with_prior_preservation"]
    assert "run" not in schemas["TrainingPlanBody"]["properties"]


def test_what_somebody_trains_is_not_told_to_others(shared):
    run = begun(shared, name="secret", max_train_steps=500)["run"]
    eventually(lambda: view(shared, run)["state"] == "training")
    bobs = shared.studio.desk.submit(ImageRequest(prompt="mine", steps=1), owner="bob")
    said = shared.client.get(f"/api/v1/jobs/{bobs.id}", auth=BOB).json()["doing"]
    assert said.startswith("waiting for a training")
    for path in ("/api/v1/engines", "/sdapi/v1/progress", "/api/v1/jobs", "/internal/sysinfo"):
        assert "secret" not in shared.client.get(path, auth=BOB).text, path
    engines = shared.client.get("/api/v1/engines", auth=BOB).json()["engines"]
    assert [(one["role"], one["job"]) for one in engines] == [("drawing", ""), ("training", "")]
    assert shared.client.get("/api/v1/engines", auth=ANN).json()["engines"][-1]["job"] == run
    ask(shared, f"/{run}/stop")
    assert over(shared, run)["state"] == "stopped"
