"""A training in an engine process of its own, which is killed in the middle."""

import json
import os
import signal
import threading
from contextlib import contextmanager
from queue import SimpleQueue

import pytest
import torch
from safetensors.torch import load_file

from modules.core import events
from modules.core.plugins import Plugins
from modules.engine.worker import serve
from modules.engine_main import PLUGIN_PACKAGES
from tests.engine.engine_process import Engine
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


class Forked:
    """A process as `subprocess` would give it, that has imported everything already."""

    def __init__(self):
        (theirs, self.write), (self.read, answers) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                torch.set_num_threads(1)
                os.close(self.write)
                plugins = Plugins("engine")
                for package in PLUGIN_PACKAGES:
                    plugins.add_package(package)
                serve(os.fdopen(theirs, "rb"), os.fdopen(answers, "wb"), plugins)
            finally:
                os._exit(0)
        os.close(theirs)
        os.close(answers)
        self.stdin, self.stdout = os.fdopen(self.write, "wb"), os.fdopen(self.read, "rb")

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def wait(self):
        os.waitpid(self.pid, 0)


class ForkedEngine(Engine):
    """Starting an interpreter and importing torch takes most of the time of a test."""

    def __init__(self, options):
        self.process, self.said = Forked(), SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self.send(options)
        self.ready = self.next(events.EngineReady)


@contextmanager
def engine_with(options):
    """A process that is killed with the block."""
    engine = ForkedEngine(options)
    try:
        yield engine
    finally:
        engine.stop()


def until_trained(engine, step):
    """So many steps have been taken."""
    while (said := engine.next(events.Progress)).step < step or not said.doing.startswith("Training"):
        pass


def test_kill_9_loses_at_most_one_interval_and_changes_nothing(done, tmp_path, record, plan_of, options):
    plan = plan_of(formats=("kohya", "peft"), save_precision="fp32")
    job, folder = job_of(tmp_path, record, plan), tmp_path / "training" / "job-1"
    with engine_with(options) as engine:
        engine.send(job)
        until_trained(engine, 5)
    reached = int(max(one.name for one in (folder / "checkpoint").iterdir() if one.name.isdigit()))
    assert reached >= 4

    with engine_with(options) as engine:
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
        engine.send(
            events.RunJob(job="job-2", kind="train", request=longer, models=(record,), input_files=job.input_files)
        )
        until_trained(engine, 2)
        engine.send(events.Steer(job="job-2", wish="finish"))
        assert engine.until_over()[-1] == events.Finished(job="job-2", result="another.safetensors")
        status = json.loads((tmp_path / "training" / "job-2" / "status.json").read_text())
        assert status["state"] == "stopped"
        assert status["step"] < 1000
