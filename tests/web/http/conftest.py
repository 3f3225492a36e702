"""Servers for the tests of the HTTP face."""

from contextlib import ExitStack

import pytest
from web.http.serving import eventually, running, write_checkpoint


@pytest.fixture
def serve(tmp_path):
    """A function that starts a server; all are stopped at the end of the test."""
    write_checkpoint(tmp_path / "models" / "Stable-diffusion" / "tiny.safetensors")
    with ExitStack() as closing:
        yield lambda *flags, page=False: closing.enter_context(running(tmp_path, *flags, page=page))


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """One server with the API alone and no login, for all tests of a file."""
    folder = tmp_path_factory.mktemp("api")
    write_checkpoint(folder / "models" / "Stable-diffusion" / "tiny.safetensors")
    write_checkpoint(folder / "models" / "Stable-diffusion" / "sub" / "other.safetensors", "other", "128x64")
    with running(folder, "--nowebui") as served:
        eventually(lambda: served.studio.catalogue.now().samplers)
        eventually(lambda: all(record.sha256 for record in served.studio.library.models()))
        yield served
