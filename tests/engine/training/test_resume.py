"""Paused, killed, failed: a training goes on where its last checkpoint is, and comes out as if nothing had been."""

import threading

import pytest
import torch
from safetensors.torch import load_file

from modules.core import events
from modules.core.errors import Cancelled, InvalidRequest
from modules.engine.job import Ending
from modules.imaging.metadata import read_text


def at_step(trained, step, act):
    """Do something as soon as this step's numbers are in the log."""

    def on_message(message):
        training = isinstance(message, events.Progress) and message.doing.startswith("Training")
        if training and message.step == step and message.preview is None:
            trained.heard.on_message = lambda message: None
            act()

    trained.heard.on_message = on_message


def tensors(trained):
    return load_file(trained.root / "Lora" / "my-cat.safetensors")


def same(found, wanted):
    """Both came to the same weights on the same way."""
    assert found.losses() == wanted.losses()
    mine, others = tensors(found), tensors(wanted)
    assert mine.keys() == others.keys()
    assert all(torch.equal(mine[name], others[name]) for name in mine)


@pytest.mark.parametrize("leave", ["interrupted", "ending"])
def test_paused_and_resumed_is_the_same_training(done, train, leave):
    trained = train(formats=("kohya", "peft"), save_precision="fp32", save_every=100, preview_every=-1)
    wanted = Cancelled if leave == "interrupted" else Ending
    set_it = trained.context.wishes.cancel.set if leave == "interrupted" else trained.context.ending.set
    at_step(trained, 3, set_it)
    with pytest.raises(wanted):
        trained.run()
    assert trained.status["state"] == "paused"
    assert [line["step"] for line in trained.log] == [1, 2, 3]
    assert not (trained.root / "Lora").exists()
    trained.renew()
    trained.run()
    assert trained.status["state"] == "done"
    same(trained, done)


def test_a_new_job_goes_on_with_a_run(done, train):
    first = train(formats=("kohya",), save_precision="fp32", save_every=100, preview_every=-1)
    at_step(first, 2, first.context.wishes.cancel.set)
    with pytest.raises(Cancelled):
        first.run()
    second = train(job="job-2", run="job-1", formats=("kohya",), save_precision="fp32", preview_prompts=())
    second.run()
    assert not (second.root / "training" / "job-2").exists()
    same(second, done)


def test_a_plan_with_nothing_but_its_run_is_taken_from_the_folder(train):
    first = train(max_train_steps=2, save_every=100, preview_prompts=())
    at_step(first, 1, first.context.wishes.cancel.set)
    with pytest.raises(Cancelled):
        first.run()
    second = train(job="job-2", run="job-1", pictures=(), names=(), max_train_steps=99)
    second.run()
    assert [line["step"] for line in second.log] == [1, 2]
    with pytest.raises(InvalidRequest, match="no training 'job-7'"):
        train(job="job-8", run="job-7", pictures=(), names=()).run()


def test_steps_behind_the_checkpoint_are_taken_again_and_their_lines_cut(done, train):
    """As after kill -9: the log is ahead of the checkpoint, and its last line is torn."""
    trained = train(formats=("kohya",), save_precision="fp32", save_every=2, preview_prompts=())
    at_step(trained, 3, trained.context.ending.set)
    with pytest.raises(Ending):
        trained.run()
    (trained.folder / "checkpoint" / "000003" / "state.json").write_text("torn")
    with (trained.folder / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    trained.renew()
    trained.run()
    said = [one for one in trained.heard.heard() if isinstance(one, events.Progress) and one.doing.startswith("Train")]
    assert said[0].step == 3  # not 1: the checkpoint of step 2 was whole
    same(trained, done)


def test_interrupted_before_the_first_step_it_is_paused_too(train):
    trained = train()
    trained.context.wishes.cancel.set()
    with pytest.raises(Cancelled):
        trained.run()
    assert trained.status["state"] == "paused"


def test_interrupted_while_a_preview_is_drawn(train):
    trained = train(preview_every=2, preview_steps=5, save_every=100)
    at = threading.Event()

    def on_message(message):
        if isinstance(message, events.Progress) and message.doing == "Drawing previews":
            at.set()
            trained.context.wishes.cancel.set()

    trained.heard.on_message = on_message
    with pytest.raises(Cancelled):
        trained.run()
    assert at.is_set()
    assert not (trained.folder / "previews/000002").exists()
    assert (trained.folder / "checkpoint" / "000002" / "state.json").exists()
    assert [line["step"] for line in trained.log] == [1, 2]
    trained.renew()
    trained.run()
    assert (trained.folder / "previews/000002/1.png").exists()


# Wishes -----------------------------------------------------------------------------------------------------------------


def test_sample_now_and_save_now(train):
    trained = train(max_train_steps=4, save_every=100, preview_every=-1)

    def wish():
        trained.context.wishes.steering.put("sample")
        trained.context.wishes.steering.put("save")

    at_step(trained, 2, wish)
    trained.run()
    assert (trained.folder / "snapshots/000002/my-cat.safetensors").exists()
    assert (trained.folder / "previews/000002/1.png").exists()
    assert (trained.folder / "checkpoint/000002").exists()


def test_sample_now_without_prompts_draws_the_subject(train):
    trained = train(max_train_steps=2, preview_prompts=())
    at_step(trained, 1, lambda: trained.context.wishes.steering.put("sample"))
    trained.run()
    (picture,) = (trained.folder / "previews/000001").iterdir()
    assert read_text(picture.read_bytes()).infotext.startswith("<lora:my-cat:1> a photo of sks cat\n")


def test_saving_again_after_a_crash_overwrites_its_own_files_only(train):
    trained = train(max_train_steps=1, preview_prompts=()).run()
    trained.renew()
    (trained.root / "Lora" / "my-cat.safetensors").write_bytes(b"half of it")
    trained.run()
    assert trained.context.result == ["my-cat.safetensors"]
    assert trained.status["verified"][0]["same"]
    assert len(list((trained.root / "Lora").glob("*.safetensors"))) == 1


def test_finish_ends_here_with_results(train):
    trained = train(max_train_steps=50, save_every=100, preview_every=-1)
    at_step(trained, 2, lambda: trained.context.wishes.steering.put("finish"))
    trained.run()
    assert trained.status["state"] == "stopped"
    assert trained.context.result == ["my-cat.safetensors"]
    assert [line["step"] for line in trained.log] == [1, 2]
    assert trained.status["verified"][0]["same"]
    assert (trained.folder / "previews/000002/0.png").exists()
    assert (trained.folder / "snapshots/000002/my-cat.safetensors").exists()


def test_only_the_last_snapshots_stay(train):
    trained = train(save_every=1, keep_last=2, preview_prompts=()).run()
    assert sorted(one.name for one in (trained.folder / "snapshots").iterdir()) == ["000004", "000005", "000006"]
