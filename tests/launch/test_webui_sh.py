"""The launcher: makes the environment once, restarts after a crash, passes flags and the exit status on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clone(tmp_path):
    """A folder with spaces in its name that holds the launcher and an app.py of the test's own."""
    folder = tmp_path / "a clone with spaces"
    folder.mkdir()
    shutil.copy(ROOT / "webui.sh", folder)
    (folder / "requirements.txt").write_text("# nothing\n")

    def write(program):
        (folder / "app.py").write_text(
            "import os, pathlib, signal, sys, time\nhere = pathlib.Path(__file__).parent\n" + program
        )
        return folder

    return write


@pytest.fixture(scope="module", autouse=True)
def shared_venv(tmp_path_factory):
    """One environment for the tests that do not look at how it is made."""
    os.environ["VENV_DIR"] = str(tmp_path_factory.mktemp("shared") / "my venv")
    yield
    del os.environ["VENV_DIR"]


def environment(folder, **more):
    return os.environ | {"PYTHON": sys.executable} | more


def run(folder, *arguments, **more):
    return subprocess.run(
        [folder / "webui.sh", *arguments],
        cwd="/",
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_flags_and_status_pass_through_from_any_folder(clone):
    folder = clone("print(sys.argv[1:], flush=True); sys.exit(2)")
    done = run(folder, "--port", "1", "--data-dir", "/tmp/a b")
    assert done.returncode == 2
    assert "['--port', '1', '--data-dir', '/tmp/a b']" in done.stdout


def test_the_environment_is_made_once_and_only_changed_requirements_are_installed(clone):
    folder = clone("print(sys.prefix)")
    own = {"VENV_DIR": str(folder / "my venv")}
    first = run(folder, **own)
    assert first.returncode == 0
    assert "Making the environment" in first.stderr
    assert "Installing the packages of requirements.txt" in first.stderr
    assert first.stdout.strip().splitlines()[-1] == str(folder / "my venv")
    second = run(folder, PIP_NO_INDEX="1", **own)
    assert second.stderr == ""
    (folder / "requirements.txt").write_text("# changed\n")
    assert "Installing the packages" in run(folder, **own).stderr


def test_a_failed_installation_says_so_and_is_tried_again(clone):
    folder = clone("print('started')")
    (folder / "requirements.txt").write_text("./no-such-package-here\n")
    for _ in range(2):
        failed = run(folder, PIP_NO_INDEX="1")
        assert failed.returncode == 1
        assert "could not be installed" in failed.stderr
        assert "started" not in failed.stdout


def test_a_crash_restarts_the_server(clone):
    folder = clone("""
mark = here / "crashed"
if mark.exists():
    print("second start"); sys.exit(0)
mark.touch(); os.kill(os.getpid(), signal.SIGKILL)
""")
    done = run(folder)
    assert done.returncode == 0
    assert "second start" in done.stdout
    assert "starting it again" in done.stderr


def test_three_crashes_in_a_row_end_it_with_the_servers_status(clone):
    folder = clone("with (here / 'starts').open('a') as f: f.write('x')\nsys.exit(9)")
    assert run(folder).returncode == 9
    assert (folder / "starts").read_text() == "xxx"


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_both_and_does_not_restart(clone, sent):
    folder = clone("""
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
(here / "up").touch()
time.sleep(60)
""")
    launcher = subprocess.Popen(
        [folder / "webui.sh"],
        env=environment(folder),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job's children ignore it
    )
    wait_for((folder / "up").exists)
    launcher.send_signal(sent)
    assert launcher.wait(timeout=30) == 0
    assert "starting it again" not in (launcher.stderr.read() if launcher.stderr else "")


def test_no_suitable_python_is_a_sentence(clone, tmp_path):
    folder = clone("")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "env"):
        (tools / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        [folder / "webui.sh"], env={"PATH": str(tools), "VENV_DIR": str(tmp_path / "v")}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "no Python 3.11 or newer" in done.stderr


def wait_for(condition, seconds=120):
    for _ in range(seconds * 20):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen")
