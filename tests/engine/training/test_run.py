"""A plan becomes files that work, and its folder tells the whole story."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from modules.core import events
from modules.core.errors import InvalidModelFile
from modules.core.requests import FileRecord
from modules.core.tensorfile import read_header
from modules.engine import generate
from modules.engine.models import Models
from modules.engine.training import results
from modules.engine.training.folder import Folder
from modules.engine.training.opening import run_of
from modules.engine.training.previews import Previews, difference
from modules.engine.training.proof import proofs
from modules.engine.training.results import Written
from modules.families import single_file
from modules.families.built import BuildOptions
from modules.imaging.metadata import read_text
from modules.prompts.infotext import parse_infotext
from modules.services import shelf_notes
from modules.training.learner import Exported
from tests.engine.in_this_process import context_of


def result(trained, name="my-cat.safetensors"):
    return trained.root / "Lora" / name


def txt2img(request, record, files=()):
    """The PNG of a request, drawn by a job of its own with a model of its own, in 32 bits as the training drew."""
    job = events.RunJob(job="t", kind="image", request=request, models=(record,), files=files)
    context, heard = context_of(job)
    models = Models(context.plugins.collect("register_families"), BuildOptions(half=False))
    context = replace(context, models=models)
    generate.run(request, context)
    (picture,) = [one for one in heard.heard() if isinstance(one, events.ImageReady)]
    return picture.png


def request_of(trained, prompt):
    previews = Previews(plan=trained.plan, context=trained.context, kind="lora", name="my-cat")
    return previews.request(prompt)


def test_it_is_done_and_says_what_it_made(done):
    status = done.status
    assert status["state"] == "done"
    assert (status["step"], status["steps"], status["sentence"]) == (6, 6, "")
    assert [one["format"] for one in status["files"]] == ["kohya", "peft"]
    for one in status["files"]:
        content = Path(one["path"]).read_bytes()
        assert one["bytes"] == len(content)
        assert one["sha256"] == hashlib.sha256(content).hexdigest()
        assert Path(one["path"]).stem == one["name"]
    assert done.context.result == ["my-cat.safetensors", "my-cat-peft.safetensors"]
    assert status["moved"]["unet"] > 1e-3


def test_each_step_is_a_line_of_the_log(done):
    assert [line["step"] for line in done.log] == [1, 2, 3, 4, 5, 6]
    assert all(line["loss"] == line["instance_loss"] > 0 for line in done.log)
    assert done.log[0]["learning_rate"] == pytest.approx(1e-3)


def test_snapshots_and_previews_lie_in_the_folder(done):
    folder = Folder(done.root / "training", "job-1")
    assert folder.steps_of("snapshots") == [2, 4, 6]
    assert folder.steps_of("previews") == [0, 3, 6]
    assert all((folder.previews(step) / f"{n}.png").exists() for step in (0, 3, 6) for n in (0, 1))
    assert (folder.snapshot(6) / "my-cat.safetensors").read_bytes() == result(done).read_bytes()
    early, last = load_file(folder.snapshot(2) / "my-cat.safetensors"), load_file(result(done))
    assert early.keys() == last.keys()
    assert any(not torch.equal(early[name], last[name]) for name in early)
    assert json.loads(read_header(folder.snapshot(2) / "my-cat.safetensors").metadata["atelier.training"])["step"] == 2


def test_the_folder_shows_the_pictures_as_trained(done):
    listed = done.json("pictures.json")
    assert [one["name"] for one in listed] == ["p0.png", "p1.png", "p2.png"]
    assert all(one["size"] == [64, 64] and one["original"] == [80, 72] for one in listed)
    assert all((done.folder / one["file"]).exists() for one in listed)
    assert done.json("model.json")["family"] == "Stable Diffusion 1.x"
    assert done.json("plan.json")["is"] == "TrainingPlan"
    assert len(done.json("data.json")["hash"]) == 64


def test_before_is_what_txt2img_draws_and_its_text_names_no_lora(done, record):
    before = (done.folder / "previews/000000/0.png").read_bytes()
    assert difference(before, txt2img(request_of(done, "a photo of sks cat"), record)) == 0
    assert "lora" not in read_text(before).infotext


def test_txt2img_with_the_file_draws_the_last_preview(done, record):
    stat = result(done).stat()
    file = FileRecord(kind="lora", name="my-cat", path=str(result(done)), size=stat.st_size, modified=stat.st_mtime_ns)
    last = (done.folder / "previews/000006/0.png").read_bytes()
    prompt = parse_infotext(read_text(last).infotext)["Prompt"]
    assert prompt == "<lora:my-cat:1> a photo of sks cat"
    again = txt2img(request_of(done, prompt), record, (file,))
    assert difference(last, again) < 0.1
    without = txt2img(request_of(done, "a photo of sks cat"), record)
    assert difference(last, without) > 1


def test_the_files_were_loaded_back_and_compared(done):
    assert [one["file"] for one in done.status["verified"]] == ["my-cat.safetensors", "my-cat-peft.safetensors"]
    assert all(one["same"] and one["difference"] <= 0.1 for one in done.status["verified"])
    assert all(one["missing"] == 0 and one["layers"] > 20 for one in done.status["matched"].values())


def test_another_file_would_have_been_noticed(done):
    """The negative control: an early snapshot is not what was trained in the end."""
    run = run_of(done.plan, done.context)
    snapshot = done.folder / "snapshots/000002/my-cat.safetensors"
    written = Written(exported=Exported(kind="lora", format="kohya"), path=snapshot)
    last = (done.folder / "previews/000006/0.png").read_bytes()
    request = request_of(done, "<lora:my-cat:1> a photo of sks cat")
    (found,) = proofs(run, [written], request, last)
    assert not found.same
    assert found.difference > 0.2


def test_the_shelf_finds_trigger_words_and_picture(done):
    notes = shelf_notes.notes_beside(result(done))
    assert notes.activation_text == "sks cat"
    assert "3 pictures" in notes.description
    preview = shelf_notes.preview_of(result(done))
    assert preview is not None
    assert preview.read_bytes() == (done.folder / "previews/000006/0.png").read_bytes()
    assert read_header(result(done)).metadata["modelspec.trigger_phrase"] == "sks cat"


def test_progress_tells_time_left_and_shows_the_latest_preview(done):
    said = [one for one in done.heard.heard() if isinstance(one, events.Progress)]
    training = [one for one in said if one.doing == "Training" and one.step]
    assert {one.step for one in training} == {1, 2, 3, 4, 5, 6}
    assert all(one.eta is not None for one in training)
    assert [one.step for one in said if one.preview] == [0, 3, 6]
    assert any(one.doing.startswith("Checking") for one in said)


def test_a_name_that_is_taken_is_not_overwritten(train):
    trained = train(preview_prompts=(), max_train_steps=1)
    taken = trained.root / "Lora" / "my-cat.safetensors"
    taken.parent.mkdir()
    taken.write_bytes(b"mine")
    trained.run()
    assert taken.read_bytes() == b"mine"
    assert trained.context.result == ["my-cat-2.safetensors"]
    assert read_header(result(trained, "my-cat-2.safetensors")).metadata["ss_output_name"] == "my-cat-2"


def test_a_name_that_is_taken_meanwhile_is_not_overwritten_either(train, monkeypatch):
    trained = train(preview_prompts=(), max_train_steps=1)

    def meanwhile(message):
        result(trained).parent.mkdir(exist_ok=True)
        result(trained).write_bytes(b"mine")

    trained.heard.on_message = meanwhile
    trained.run()
    assert result(trained).read_bytes() == b"mine"
    assert trained.context.result == ["my-cat-2.safetensors"]
    assert trained.status["verified"][0]["same"]


@pytest.mark.parametrize("every", [0, 3])
def test_previews_do_not_disturb(done, train, every):
    """The same weights, bit for bit, whether there were previews or not."""
    wanted = load_file(result(done))
    prompts = ("something else",) if every else ()
    found = train(formats=("kohya",), save_precision="fp32", preview_prompts=prompts, preview_every=every).run()
    assert found.losses() == done.losses()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in load_file(result(found)).items())


# Other methods ----------------------------------------------------------------------------------------------------------


def test_dreambooth_in_32_bits_comes_back_bit_for_bit(train):
    trained = train(
        method="dreambooth",
        max_train_steps=2,
        use_ema=True,
        save_precision="fp32",
        learning_rate=1e-4,
        preview_prompts=("a photo of sks cat",),
        formats=("checkpoint", "diffusers"),
    ).run()
    folder = trained.root / "Stable-diffusion"
    assert [one["difference"] for one in trained.status["verified"]] == [0, 0]
    assert {one.name for one in folder.iterdir() if one.suffix != ".json"} >= {"my-cat.safetensors", "my-cat-diffusers"}
    assert (folder / "my-cat-diffusers.preview.png").exists()
    assert (trained.folder / "snapshots/000002/my-cat.safetensors").exists()
    text = parse_infotext(read_text((trained.folder / "previews/000002/0.png").read_bytes()).infotext)
    assert text["Prompt"] == "a photo of sks cat"
    assert text["Model"] == "my-cat"
    before = read_text((trained.folder / "previews/000000/0.png").read_bytes()).infotext
    assert "Model: small" in before
    _, tensors = single_file.load(folder / "my-cat.safetensors")
    assert all(one.dtype == torch.float32 for one in tensors.values() if one.numel())


def test_a_lora_is_merged_into_a_checkpoint_too(train):
    prompts = ("<lora:somebody-elses:1> a photo of sks cat",)
    known = {"formats": ("kohya", "checkpoint"), "save_precision": "fp32", "preview_prompts": prompts}
    trained = train(max_train_steps=1, **known).run()
    assert (trained.root / "Stable-diffusion" / "my-cat-checkpoint.safetensors").exists()
    assert [one["same"] for one in trained.status["verified"]] == [True, True]
    assert list(trained.status["matched"]) == ["my-cat.safetensors"]


def test_a_file_that_cannot_be_used_is_no_result(train, monkeypatch):
    """Written with names that nobody knows: loading it back finds out."""

    def unknown(path, tensors, metadata):
        save(path, {f"lora_unet_nowhere_{n}.lora_up.weight": one for n, one in enumerate(tensors.values())}, metadata)

    save = single_file.save
    monkeypatch.setattr(results.single_file, "save", unknown)
    trained = train(max_train_steps=1, preview_prompts=())
    with pytest.raises(InvalidModelFile, match=r"my-cat\.safetensors was saved, but cannot be used"):
        trained.run()
    assert trained.status["state"] == "failed"


def test_an_embedding_is_called_by_its_name(train):
    trained = train(
        method="textual_inversion",
        name="catty",
        instance_prompt="a photo of catty",
        preview_prompts=("a photo of catty",),
        max_train_steps=2,
        learning_rate=0.1,
        formats=("embedding", "pt"),
    )
    (trained.root / "embeddings").mkdir()
    (trained.root / "embeddings" / "Catty.bin").write_bytes(b"another")
    trained.run()
    assert trained.context.result == ["catty-2.safetensors", "catty-2-pt.pt"]
    assert [one["difference"] for one in trained.status["verified"]] == [0, 0]
    assert trained.status["moved"]["embedding"] > 1e-3
    last = (trained.folder / "previews/000002/0.png").read_bytes()
    assert parse_infotext(read_text(last).infotext)["Prompt"] == "a photo of catty-2"
    assert difference(last, (trained.folder / "previews/000000/0.png").read_bytes()) > 0.1
    notes = shelf_notes.notes_beside(trained.root / "embeddings" / "catty-2.safetensors")
    assert notes.activation_text == "catty-2"


def test_the_listeners_hear_of_each_step(train):
    heard = []
    trained = train(max_train_steps=2, preview_prompts=())
    plugins = trained.context.plugins

    class Listening:
        def __getattr__(self, name):
            return getattr(plugins, name)

        def anyone(self, hook):
            return hook == "training_step" or plugins.anyone(hook)

        def tell(self, hook, **news):
            heard.append(news["numbers"].step) if hook == "training_step" else plugins.tell(hook, **news)

    trained.context = replace(trained.context, plugins=Listening())
    trained.run()
    assert heard == [1, 2]
