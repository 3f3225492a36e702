"""Real servers for the tests of this folder."""

import signal

import pytest
from serving import Server


@pytest.fixture
def serve(tmp_path):
    """Start servers on one data directory; all are stopped at the end."""
    started = []

    def start(*flags, **options):
        started.append(Server(tmp_path, *flags, **options))
        return started[-1]

    yield start
    for server in started:
        server.stop(signal.SIGKILL)
