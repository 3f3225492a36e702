"""Real servers for the tests of this folder; their model is small and random, so that a picture takes no time."""

import signal

import pytest

from modules.families import random_weights
from serving import Server


@pytest.fixture(scope="session")
def small_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    random_weights.write(path, random_weights.small(), metadata={"modelspec.resolution": "64x64"})
    return path


@pytest.fixture
def serve(tmp_path, small_model):
    """Start servers on one data directory; all are stopped at the end."""
    started = []

    def start(*flags, **options):
        started.append(Server(tmp_path, "--use-cpu", "all", "--ckpt", small_model, *flags, **options))
        return started[-1]

    yield start
    for server in started:
        server.stop(signal.SIGKILL)
