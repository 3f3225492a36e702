"""The whole server as a user runs it: start, stop, kill, and what is left behind."""

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from serving import ROOT, wait_for

SMALL = {"prompt": "a red cat in space", "steps": 4, "seed": 3, "sampler_name": "Euler", "save_images": True}


def test_an_unknown_flag_is_refused_with_a_suggestion():
    done = subprocess.run([sys.executable, ROOT / "app.py", "--prot", "1"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "Atelier did not start: unknown flag '--prot'; did you mean --port?\n"


def test_help_lists_the_flags():
    done = subprocess.run([sys.executable, ROOT / "app.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--gradio-auth" in done.stdout


def test_sigterm_stops_server_and_engine_cleanly(serve):
    server = serve("--api")
    server.wait_until_ready()
    engines = server.engines()
    assert engines
    assert not maps_torch(server.process.pid)
    assert server.stop() == 0
    assert not alive(engines)


def test_no_engine_is_left_when_the_server_is_killed(serve):
    server = serve("--api")
    server.wait_until_ready()
    engines = server.engines()
    server.stop(signal.SIGKILL)
    wait_for(lambda: not alive(engines), 60)


def test_no_engine_is_left_when_the_server_is_killed_while_the_engine_starts_or_draws(serve):
    server = serve("--api", wait=False)
    wait_for(server.engines, 60, server.log)
    engines = server.engines()
    server.stop(signal.SIGKILL)
    wait_for(lambda: not alive(engines), 60)


def test_a_second_server_on_the_same_data_is_refused_and_names_the_first(serve):
    first = serve()
    second = serve(wait=False)
    assert second.process.wait(timeout=60) == 2
    assert f"{first.process.pid}" in second.log.read_text()
    assert first.answers("/internal/ping")


def test_an_accepted_job_survives_kill_9_of_everything(serve):
    """Jobs are accepted, then server and engine are killed at once; after a restart every one is done exactly once."""
    server = serve("--api")
    server.wait_until_ready()
    jobs = [
        server.accept({"prompt": f"a cat {index}", "steps": 8, "seed": index, "save_images": True})
        for index in range(4)
    ]
    engines = server.engines()
    server.stop(signal.SIGKILL)
    wait_for(lambda: not alive(engines), 60)
    again = serve("--api")
    wait_for(lambda: all(again.job(job)["state"] == "done" for job in jobs), 240, again.log)
    pictures = sorted(path.name for path in (again.data_dir / "outputs").rglob("*.png"))
    assert len(pictures) == len(jobs)
    again.stop()
    assert integrity(again.data_dir / "outputs/atelier.sqlite3") == "ok"


def test_a_killed_engine_comes_back_and_its_job_is_done_once(serve):
    server = serve("--api")
    server.wait_until_ready()
    job = server.accept(SMALL | {"steps": 60, "n_iter": 2})
    wait_for(lambda: server.job(job)["step"] > 3, 120, server.log)
    for engine in server.engines():
        engine.kill()
    wait_for(lambda: server.job(job)["state"] == "done", 240, server.log)
    live = server.job(job)
    assert len(live["pictures"]) == 2
    assert live["attempts"] == 2


def test_an_extension_that_exits_costs_itself_only(serve, tmp_path):
    for name, text in {"exits": "import sys; sys.exit(1)", "raises": "raise RuntimeError('no licence')"}.items():
        (tmp_path / "extensions" / name).mkdir(parents=True)
        (tmp_path / "extensions" / name / "plugin.py").write_text(text)
    server = serve("--api")
    server.wait_until_ready()
    assert server.post("/sdapi/v1/txt2img", SMALL)["images"]
    assert "no licence" in server.log.read_text()


def test_an_extension_adds_a_sampler_to_the_real_server(serve, tmp_path):
    folder = tmp_path / "extensions" / "mine"
    folder.mkdir(parents=True)
    (folder / "plugin.py").write_text("""
from modules.core.extension_points import Sampler, hookimpl

def half_step(denoise, x, sigmas, on_step):
    for step, sigma in enumerate(sigmas[:-1]):
        x = denoise(x, sigma) + (x - denoise(x, sigma)) / sigma * sigmas[step + 1]
        on_step(step, x, x)
    return x

@hookimpl
def register_samplers():
    return [Sampler(name="Mine", sample=half_step)]
""")
    server = serve("--api")
    server.wait_until_ready()
    assert "Mine" in [one["name"] for one in server.get("/sdapi/v1/samplers")]
    assert (
        "Sampler: Mine"
        in json.loads(server.post("/sdapi/v1/txt2img", SMALL | {"sampler_name": "Mine"})["info"])["infotexts"][0]
    )


@pytest.mark.parametrize("flag", ["--exit"])
def test_exit_prepares_everything_and_ends(serve, flag):
    server = serve(flag, wait=False)
    assert server.process.wait(timeout=120) == 0


def alive(processes):
    return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def maps_torch(pid):
    return "libtorch" in Path(f"/proc/{pid}/maps").read_text()


def integrity(path):
    with sqlite3.connect(path) as connection:
        return connection.execute("PRAGMA integrity_check").fetchone()[0]
