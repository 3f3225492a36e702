"""The real engine with a small model of random weights: what the tiny one stands for holds for it too."""

import os
import signal
import subprocess
import sys

import pytest
from services.small_things import eventually, web_plugins

from modules.core.flags import ROOT
from modules.core.requests import ImageRequest
from modules.services.build import open_studio

WRITE = (
    "import sys; from pathlib import Path; from modules.families import random_weights as weights;"
    "weights.write(Path(sys.argv[1]), weights.small())"
)


@pytest.fixture
def small_model(places):
    path = places.models / "Stable-diffusion" / "small.safetensors"
    path.parent.mkdir(parents=True)
    subprocess.run([sys.executable, "-c", WRITE, str(path)], cwd=ROOT, check=True)


@pytest.mark.slow
def test_kill_9_of_the_real_engine(small_model, flags, places):
    """Row 1: the job comes to its end, its pictures are there once, byte for byte those of a calm run."""
    request = ImageRequest(prompt="a cat", seed=3, steps=5, width=64, height=64, batch_count=3, sampler="Euler a")
    with open_studio(flags, places, web_plugins()) as studio:
        calm = studio.watch.wait(studio.desk.submit(request).id, 200)
        job = studio.desk.submit(request)
        eventually(lambda: studio.gallery.pictures(job=job.id), 100)
        os.kill(studio.engines.states()[0].pid, signal.SIGKILL)
        done = studio.watch.wait(job.id, 200)
        assert (calm.state, done.state, done.attempts) == ("done", "done", 2)
        calm_files, files = (
            [studio.gallery.path(one) for one in studio.gallery.pictures(job=id)] for id in (calm.id, job.id)
        )
        assert [file.read_bytes() for file in files] == [file.read_bytes() for file in calm_files]
        assert len(files) == 3
