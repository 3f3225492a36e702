"""A training in an engine process of its own, which is killed in the middle."""

import json

import pytest
import torch
from safetensors.torch import load_file

from modules.core import events
from tests.engine.training.conftest import PICTURES


@pytest.fixture
def options(tmp_path):
    return events.EngineOptions(
        device="cpu",
        name="trainer",
        threads=1,
        loras=str(tmp_path / "Lora"),
        embeddings=str(tmp_path / "embeddings"),
        checkpoints=str(tmp_path / "Stable-diffusion"),
        training=str(tmp_path / "training"),
    )


def job_of(tmp_path, record, plan):
    """As the web process sends it: pictures by their paths."""
    files = []
    for id, data in PICTURES.items():
        path = tmp_path / "inputs" / id
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        files.append(events.InputFile(id=id, path=str(path)))
    return events.RunJob(job="job-1", kind="train", request=plan, models=(record,), input_files=tuple(files))


def until_trained(engine, step):
    """So many steps have been taken."""
    while (said := engine.next(events.Progress)).step < step or not said.doing.startswith("Training"):
        pass


def test_kill_9_loses_at_most_one_interval_and_changes_nothing(done, tmp_path, record, plan_of, new_engine, options):
    plan = plan_of(formats=("kohya", "peft"), save_precision="fp32")
    job, folder = job_of(tmp_path, record, plan), tmp_path / "training" / "job-1"
    engine = new_engine(options)
    engine.send(job)
    until_trained(engine, 5)
    engine.process.kill()
    engine.process.wait()
    reached = int(max(one.name for one in (folder / "checkpoint").iterdir() if one.name.isdigit()))
    assert reached >= 4

    engine = new_engine(options)
    engine.send(job)
    heard = engine.until_over()
    assert heard[-1] == events.Finished(job="job-1", result="my-cat.safetensors\nmy-cat-peft.safetensors")
    steps = [one.step for one in heard if isinstance(one, events.Progress) and one.doing == "Training"]
    assert steps[0] == reached + 1
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == done.losses()
    mine, wanted = (load_file(root / "Lora" / "my-cat.safetensors") for root in (tmp_path, done.root))
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in mine.items())

    # the same process takes the next job, and is told to finish it early
    longer = plan_of(name="another", max_train_steps=1000, preview_prompts=(), save_every=1000)
    engine.send(events.RunJob(job="job-2", kind="train", request=longer, models=(record,), input_files=job.input_files))
    until_trained(engine, 2)
    engine.send(events.Steer(job="job-2", wish="finish"))
    assert engine.until_over()[-1] == events.Finished(job="job-2", result="another.safetensors")
    status = json.loads((tmp_path / "training" / "job-2" / "status.json").read_text())
    assert status["state"] == "stopped"
    assert status["step"] < 1000
