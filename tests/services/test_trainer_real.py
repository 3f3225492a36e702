"""The real trainer with a small model of random weights: killed in the middle, it comes out as if nothing had been."""

import json
import os
import signal

import pytest
from services.small_things import eventually, gone, web_plugins
from services.test_real_engine import small_model as small_model
from services.training_things import plan_for, trainer

from modules.services.build import open_studio


@pytest.mark.slow
def test_kill_9_of_the_real_trainer(small_model, flags, places):
    """Row 3: at most a checkpoint's steps are lost, and the curve is that of a calm run."""
    with open_studio(flags, places, web_plugins()) as studio:
        plan = {
            "max_train_steps": 12,
            "save_every": 3,
            "preview_every": -1,
            "rank": 2,
            "resolution": 64,
            "mixed_precision": "no",
        }
        calm, killed = (studio.trainings.begin(plan_for(studio, **plan, name=name)) for name in ("calm", "killed"))
        assert studio.watch.wait(calm.job.id, 200).state == "done"
        reached = eventually(lambda: (last := killed.folder.last()) and last["step"] >= 5 and last["step"], 100)
        pid = trainer(studio).pid
        os.kill(pid, signal.SIGKILL)
        done = studio.watch.wait(killed.job.id, 200)
        assert (done.state, done.attempts) == ("done", 1)
        assert reached < 12
        assert curve(calm) == curve(killed)
        files = [studio.shelf.with_hash(studio.shelf.find("lora", name)) for name in ("calm", "killed")]
        assert files[0].short_hash == files[1].short_hash != "", "the same tensors; the metadata tell the names"
        pid = trainer(studio).pid
        eventually(lambda: trainer(studio).state == "off")
        assert gone(pid)


def curve(run) -> list[tuple[int, float]]:
    """Every step's loss, to the last bit."""
    lines = [json.loads(line) for line in run.folder.log.read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines]
