"""One server per data directory."""

import signal
import subprocess
import sys

import pytest

from modules.core.errors import DataDirectoryInUse, StorageFailed
from modules.core.flags import ROOT
from modules.services.lock import held

HOLDER = """
import sys, time
from pathlib import Path
from modules.services.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(places):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(places.lock)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_is_refused_and_told_the_first(holder, places):
    """Row 49."""
    for _ in range(2):
        with pytest.raises(DataDirectoryInUse, match=rf"process {holder.pid}\).*--data-dir"), held(places.lock):
            pass


def test_killed_holders_hold_nothing(holder, places):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with held(places.lock):
        pass


def test_free_after_the_block(places):
    for _ in range(2):
        with held(places.lock):
            pass


def test_a_folder_that_cannot_be_written(places):
    places.outputs.write_text("a file")
    with pytest.raises(StorageFailed, match="--data-dir"), held(places.lock):
        pass
