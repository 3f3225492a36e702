"""`/sdapi/v1/create/…` and `/train/…`: what clients of the field send, what they read."""

import json
import struct

import pytest
import torch
from services.training_things import TINY_TRAINER, tiny_engine
from web.http.serving import eventually, running

from modules.diffusion.embeddings import load_embedding
from modules.services.training.embedding import INIT_TEXT

WIDTH, VOCABULARY = 4, 49_408
CAT = 2368  # CLIP's token of "cat"


def checkpoint(path, names, kind="F16"):
    """A checkpoint with tables of words: row i holds i / 8 … of it, so that a row tells its token."""
    size = VOCABULARY * WIDTH * 2
    spans = {name: [at * size, (at + 1) * size] for at, name in enumerate(names)}
    header = {
        name: {"dtype": kind, "shape": [VOCABULARY, WIDTH], "data_offsets": span} for name, span in spans.items()
    } | {"model.diffusion_model.out.weight": {"dtype": "F32", "shape": [0], "data_offsets": [len(names) * size] * 2}}
    rows = table().numpy().tobytes()
    raw = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + rows * len(names))


def table() -> torch.Tensor:
    return (torch.arange(VOCABULARY)[:, None] / 64 + torch.arange(WIDTH)).half()


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    folder = tmp_path_factory.mktemp("legacy")
    models = folder / "models" / "Stable-diffusion"
    checkpoint(
        models / "one.safetensors", ["cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"]
    )
    of_xl = [f"conditioner.embedders.{end}token_embedding.weight" for end in ("0.transformer.text_model.", "1.model.")]
    checkpoint(models / "two.safetensors", of_xl)
    checkpoint(models / "wordless.safetensors", [])
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(3):
        (pictures / f"{number}.png").write_bytes(tiny_engine.png(number, 64, 64))
    with running(folder, "--nowebui", engine=TINY_TRAINER) as served:
        eventually(lambda: served.studio.catalogue.now().samplers)
        yield served


def told(api, path: str, **asked) -> str:
    answer = api.client.post(f"/sdapi/v1/{path}", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["info"]


def use(api, model: str) -> None:
    api.studio.settings.set({"sd_model_checkpoint": model})


def test_a_new_embedding_begins_from_its_words(api):
    use(api, "one")
    said = told(api, "create/embedding", name="fresh", num_vectors_per_token=2, init_text="cat")
    path = api.studio.places.folders("embedding")[0] / "fresh.safetensors"
    assert said == f"create embedding filename: {path}"
    (vectors,) = load_embedding(path).values()
    assert torch.equal(vectors, table()[[CAT, CAT]].float())
    assert api.studio.shelf.vectors()["fresh"] == 2
    assert api.studio.shelf.find("embedding", "fresh").words == ("fresh",)
    listed = api.client.get("/sdapi/v1/embeddings").json()
    assert "fresh" in {**listed["loaded"], **listed["skipped"]}


def test_several_words_are_spread_over_the_vectors(api):
    use(api, "one")
    told(api, "create/embedding", name="spread", num_vectors_per_token=3, init_text="a cat, cat")
    header = api.studio.shelf.header(api.studio.shelf.find("embedding", "spread"))
    assert header.metadata[INIT_TEXT] == "a cat, cat"
    tokens = api.studio.tokens.tokenizer.encode("a cat, cat")
    (vectors,) = load_embedding(api.studio.places.folders("embedding")[0] / "spread.safetensors").values()
    assert torch.equal(vectors, table()[[tokens[at * 4 // 3] for at in range(3)]].float())


def test_of_a_model_with_two_text_encoders(api):
    use(api, "two")
    told(api, "create/embedding", name="pair", init_text="cat")
    loaded = load_embedding(api.studio.places.folders("embedding")[0] / "pair.safetensors")
    assert set(loaded) == {"clip_l", "clip_g"}
    assert all(torch.equal(one, table()[[CAT]].float()) for one in loaded.values())


def test_an_embedding_is_not_overwritten_unasked(api):
    use(api, "one")
    told(api, "create/embedding", name="kept", init_text="cat")
    assert "already" in told(api, "create/embedding", name="kept", init_text="dog")
    assert "filename" in told(api, "create/embedding", name="kept", init_text="dog", overwrite_old=True)


@pytest.mark.parametrize("name", ["", "../outside", "a/b", ".hidden", "x" * 300])
def test_a_name_that_no_file_may_have(api, name):
    """Row 33."""
    use(api, "one")
    before = sorted(api.studio.places.data.rglob("*.safetensors"))
    assert told(api, "create/embedding", name=name, init_text="cat").startswith("create embedding error: ")
    assert sorted(api.studio.places.data.rglob("*.safetensors")) == before


def test_a_model_without_words(api):
    use(api, "wordless")
    assert "no text encoder" in told(api, "create/embedding", name="none", init_text="cat")


def test_an_embedding_trained_with_a_folder(api):
    use(api, "one")
    told(api, "create/embedding", name="mine", num_vectors_per_token=3, init_text="cat")
    asked = {"embedding_name": "mine", "data_root": str(api.studio.places.data / "pictures"), "steps": 10}
    asked |= {"learn_rate": "0.004:100, 1e-3:1000", "training_width": 512, "training_height": 384}
    said = told(api, "train/embedding", **asked, clip_grad_mode="norm", clip_grad_value="0.5", id_task="task(1)")
    assert said.startswith("train embedding complete: filename: mine"), said
    assert said.endswith(" error: None")
    run = api.studio.trainings.every()[0]
    plan = run.plan
    assert (plan.method, plan.num_vectors, plan.initializer_token) == ("textual_inversion", 3, "cat")
    assert (plan.learning_rate, plan.resolution, plan.max_grad_norm) == (0.004, 384, 0.5)
    assert (len(plan.pictures), plan.max_train_steps, run.state) == (3, 10, "done")


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"embedding_name": "nowhere"}, "nowhere"),
        ({"data_root": "/nowhere"}, "folder"),
        ({"data_root": "/etc"}, ""),
        ({"tag_drop_out": 0.5}, "tag_drop_out"),
        ({"learn_rate": "fast"}, "number"),
        ({"clip_grad_mode": "value"}, "clip_grad_mode"),
        ({"steps": -5}, "Steps"),
    ],
)
def test_what_cannot_be_trained_is_said(api, asked, word):
    use(api, "one")
    told(api, "create/embedding", name="base", init_text="cat", overwrite_old=True)
    known = {"embedding_name": "base", "data_root": str(api.studio.places.data / "pictures"), "steps": 2}
    before = len(api.studio.queue.jobs(limit=100))
    said = told(api, "train/embedding", **known | asked)
    assert said.startswith("train embedding error: ")
    assert word in said
    assert len(api.studio.queue.jobs(limit=100)) == before


@pytest.mark.parametrize("work", ["create", "train"])
def test_hypernetworks_are_refused_with_what_to_do(api, work):
    said = told(api, f"{work}/hypernetwork", name="x", hypernetwork_name="x")
    assert said.startswith(f"{work} hypernetwork error: ")
    assert "LoRA" in said
