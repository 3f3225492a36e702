"""Processes that train along: what is sent to them is enough to take the very same steps."""

import pickle

import pytest
import torch

from modules.core.errors import InvalidRequest
from modules.engine.training import companions
from modules.engine.training.companions import accompany, devices_for, work_of
from modules.engine.training.opening import opened, run_of
from modules.training import loop, state


def test_what_is_sent_is_enough(done, train, tmp_path, monkeypatch):
    """After the checkpoint of step 4, another process comes to the weights of step 6."""
    trained = train(formats=("kohya", "peft"), save_precision="fp32")
    work = work_of(opened(run_of(trained.plan, trained.context)))
    (tmp_path / "later").mkdir()
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "000004").symlink_to(done.folder / "checkpoint" / "000004")
    object.__setattr__(work, "checkpoint", tmp_path / "checkpoint")
    arrived = pickle.loads(pickle.dumps(work))

    reached = []

    def train_and_look(model, learner, plan, data, position, on_step):
        assert position.step == 4
        loop.train(model, learner, plan, data, position, on_step)
        reached.append((learner, position))

    monkeypatch.setattr(companions, "train", train_and_look)
    accompany(torch.device("cpu"), arrived)
    ((learner, position),) = reached
    assert position.step == 6
    saved = state.save(tmp_path / "later", position, learner, arrived.plan)
    mine, wanted = ((folder / state.TENSORS).read_bytes() for folder in (saved, done.folder / "checkpoint" / "000006"))
    assert mine == wanted


def test_a_device_for_each_process(monkeypatch):
    cpu = torch.device("cpu")
    assert devices_for(2, cpu) == [cpu, cpu]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    found = devices_for(3, torch.device("cuda", 1))
    assert [one.index for one in found] == [1, 0, 2]
    assert devices_for(1, torch.device("cuda")) == [torch.device("cuda")]
    with pytest.raises(InvalidRequest, match="4 devices were asked for and there are 3"):
        devices_for(4, torch.device("cuda", 0))
