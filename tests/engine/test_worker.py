"""The engine as a process: interrupting, skipping, loading, ending; real processes, real pipes."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import safetensors.torch
import torch

from modules.core import events
from modules.core.flags import ROOT
from modules.core.requests import ImageRequest, ModelRecord
from modules.core.wire import write_message
from modules.families import single_file
from tests.engine.engine_process import Engine, pictures, record_of

Make = Callable[..., ImageRequest]
LONG = {"steps": 150, "batch_count": 3}


def begin(engine: Engine, request: ImageRequest, record: ModelRecord, job: str = "job") -> None:
    """Run a job up to its first step."""
    engine.send(events.RunJob(job=job, kind="image", request=request, models=(record,)))
    while engine.next(events.Progress).step < 1:
        pass


def test_it_says_who_it_is_and_what_it_can_do(engine: Engine) -> None:
    ready = engine.ready
    assert (ready.pid, ready.device) == (engine.process.pid, "cpu")
    assert {"Euler", "Euler a", "DPM++ 2M", "DDIM"} <= {one.name for one in ready.catalogue.samplers}
    assert {"automatic", "karras", "uniform"} <= {one.key for one in ready.catalogue.schedules}
    assert "Stable Diffusion 1.x" in {one.name for one in ready.catalogue.families}
    assert {"image", "edit"} <= set(ready.catalogue.job_kinds)


def test_interrupt_ends_a_job_within_a_step_and_keeps_what_was_made(
    engine: Engine, record: ModelRecord, request_of: Make
) -> None:
    begin(engine, request_of(**LONG), record)
    engine.send(events.Interrupt(job="job"))
    heard = engine.until_over()
    assert heard[-1] == events.Finished(job="job", interrupted=True)
    assert not pictures(heard)

    engine.send(events.RunJob(job="job", kind="image", request=request_of(batch_count=100), models=(record,)))
    first = engine.next(events.ImageReady)
    engine.send(events.Interrupt(job="job"))
    assert first.index == 0
    assert engine.until_over()[-1].interrupted
    assert pictures(engine.draw(request_of(), record))


def test_interrupt_reaches_a_job_that_waits_behind_another(
    engine: Engine, record: ModelRecord, request_of: Make
) -> None:
    begin(engine, request_of(**LONG), record, "first")
    engine.send(events.RunJob(job="second", kind="image", request=request_of(), models=(record,)))
    engine.send(events.Interrupt(job="second"))
    engine.send(events.Interrupt(job="first"))
    assert engine.until_over()[-1] == events.Finished(job="first", interrupted=True)
    assert engine.until_over()[-1] == events.Finished(job="second", interrupted=True)


def test_interrupting_a_job_that_is_over_or_unknown_does_nothing(
    engine: Engine, record: ModelRecord, request_of: Make
) -> None:
    engine.send(events.Interrupt(job="job"))
    engine.send(events.Skip(job="never heard of"))
    assert engine.draw(request_of(), record)[-1] == events.Finished(job="job")


def test_skip_leaves_a_batch_and_goes_on_with_the_next(engine: Engine, record: ModelRecord, request_of: Make) -> None:
    begin(engine, request_of(steps=30, batch_count=3), record)
    engine.send(events.Skip(job="job"))
    heard = engine.until_over()
    assert [one.index for one in pictures(heard)] == [1, 2]
    assert heard[-1] == events.Finished(job="job", note="A batch was skipped.")


def test_a_model_is_loaded_once_and_told(engine: Engine, record: ModelRecord) -> None:
    for _ in range(2):
        engine.send(events.LoadModel(record=record))
        loaded = engine.next(events.ModelLoaded, events.Failed)
        assert loaded == events.ModelLoaded(record=record, family="Stable Diffusion 1.x")
        assert engine.next(events.EngineStatus).model == record.title


def test_unloading_gives_the_model_back(engine: Engine, record: ModelRecord, request_of: Make) -> None:
    engine.send(events.LoadModel(record=record))
    engine.next(events.ModelLoaded)
    engine.next(events.EngineStatus)
    engine.send(events.UnloadModels())
    status = engine.next(events.EngineStatus)
    assert (status.model, status.doing) == ("", "")
    assert 0 < status.memory_used < status.memory_total
    heard = engine.draw(request_of(), record)
    assert any(isinstance(one, events.ModelLoaded) for one in heard)


@pytest.mark.parametrize("how", ["cut", "pickle", "other kind", "half", "empty"])
def test_a_bad_model_keeps_the_current_one(
    how: str, engine: Engine, record: ModelRecord, small_file: Path, tmp_path: Path, request_of: Make
) -> None:
    bad = tmp_path / "bad.safetensors"
    if how == "cut":
        bad.write_bytes(small_file.read_bytes()[:-1000])
    elif how == "pickle":
        torch.save({"state_dict": {"w": torch.zeros(3)}}, bad)
    elif how == "other kind":
        safetensors.torch.save_file({"lora_unet_x.lora_up.weight": torch.zeros(4, 4)}, bad)
    elif how == "half":
        header, tensors = single_file.load(small_file)
        del tensors["model.diffusion_model.out.2.bias"]
        single_file.save(bad, tensors, header.metadata)
    else:
        bad.touch()
    before = pictures(engine.draw(request_of(), record))[0].png
    engine.send(events.LoadModel(record=record_of(bad)))
    failure = engine.next(events.ModelLoaded, events.Failed)
    assert (failure.job, failure.kind) == ("", "InvalidModelFile")
    assert "bad.safetensors" in failure.sentence
    assert engine.next(events.EngineStatus).model == record.title
    assert engine.draw(request_of(), record_of(bad))[-1].kind == "InvalidModelFile"
    heard = engine.draw(request_of(), record)
    assert pictures(heard)[0].png == before
    assert not any(isinstance(one, events.ModelLoaded) for one in heard)


def test_a_model_file_that_is_replaced_or_deleted_does_not_matter_while_it_is_loaded(
    new_engine: Callable[..., Engine], small_file: Path, tmp_path: Path, request_of: Make
) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(small_file.read_bytes())
    record, engine = record_of(path), new_engine()
    (before,) = pictures(engine.draw(request_of(), record))
    path.write_bytes(b"cut")
    path.unlink()
    (after,) = pictures(engine.draw(request_of(), record))
    assert after.png == before.png


def test_weights_that_are_no_numbers_are_an_error_and_no_black_picture(
    engine: Engine, record: ModelRecord, small_file: Path, tmp_path: Path, request_of: Make
) -> None:
    header, tensors = single_file.load(small_file)
    for name in ("model.diffusion_model.out.2.bias", "first_stage_model.decoder.conv_out.bias"):
        path = tmp_path / f"{name}.safetensors"
        single_file.save(path, tensors | {name: torch.full_like(tensors[name], torch.nan)}, header.metadata)
        heard = engine.draw(request_of(), record_of(path))
        assert (heard[-1].kind, pictures(heard)) == ("NotFinite", [])
    assert pictures(engine.draw(request_of(), record))


def test_an_unknown_job_kind_is_a_sentence(engine: Engine, request_of: Make) -> None:
    engine.send(events.RunJob(job="job", kind="imagee", request=request_of()))
    assert "did you mean 'image'?" in engine.until_over()[-1].sentence


EXTENSION = """
from modules.core.extension_points import JobKind, hookimpl
from modules.core.requests import ImageRequest

def leave(request, context):
    raise SystemExit(3)

def stumble(request, context):
    return 1 / 0

def run_out(request, context):
    raise MemoryError

def chatter(request, context):
    import os
    print("hello")
    os.write(1, b"hello")
    if input_is_open():
        raise ValueError("the messages can be read")

def input_is_open():
    import os
    return os.read(0, 1) != b""

@hookimpl
def register_job_kinds():
    return [JobKind(name=run.__name__, request=ImageRequest, run=run) for run in (leave, stumble, run_out, chatter)]

@hookimpl
def image_ready(image, request):
    return image.rotate(180) if request.prompt == "turned" else None

@hookimpl
def step_done(step, x, denoised):
    if step == 1:
        raise ValueError("no more")
"""


def test_extensions_in_the_engine(
    new_engine: Callable[..., Engine], record: ModelRecord, tmp_path: Path, request_of: Make
) -> None:
    for name, text in (("good", EXTENSION), ("broken", "raise SystemExit"), ("off", "1 / 0")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "plugin.py").write_text(textwrap.dedent(text))
    engine = new_engine(
        events.EngineOptions(device="cpu", name="cpu", extensions=str(tmp_path), disabled=("off",), threads=1)
    )
    problems = {one.name: one.problem for one in engine.ready.plugins}
    assert problems["good"] == ""
    assert "SystemExit" in problems["broken"]
    assert "off" not in problems
    sentences = {}
    for kind in ("leave", "stumble", "run_out"):
        engine.send(events.RunJob(job=kind, kind=kind, request=request_of()))
        sentences[kind] = engine.until_over()[-1]
    assert sentences["leave"].kind == "SystemExit"
    assert "ZeroDivisionError: division by zero" in sentences["stumble"].sentence
    assert sentences["run_out"].kind == "OutOfMemory"
    engine.send(events.RunJob(job="chatter", kind="chatter", request=request_of()))
    assert engine.until_over()[-1] == events.Finished(job="chatter")
    # its listener fails at the second step: it is left out from then on, the picture is made
    (plain,) = pictures(engine.draw(request_of(prompt="turned"), record))
    assert plain.png


def test_it_ends_after_quit(new_engine: Callable[..., Engine], record: ModelRecord, request_of: Make) -> None:
    engine = new_engine()
    begin(engine, request_of(**LONG), record)
    engine.send(events.Quit())
    assert engine.process.wait(60) == 0


def test_it_ends_at_once_when_the_other_side_is_gone(
    new_engine: Callable[..., Engine], record: ModelRecord, request_of: Make
) -> None:
    engine = new_engine()
    begin(engine, request_of(**LONG), record)
    assert engine.process.stdin
    engine.process.stdin.close()
    assert engine.process.wait(60) == 0


def test_it_ends_when_nobody_reads_any_more(
    new_engine: Callable[..., Engine], record: ModelRecord, request_of: Make
) -> None:
    engine = new_engine()
    engine.draw(request_of(), record)
    assert engine.process.stdin
    write_message(
        engine.process.stdin, events.RunJob(job="j", kind="image", request=request_of(**LONG), models=(record,))
    )
    os.kill(engine.process.pid, 0)
    engine.process.stdin.write(b"\xff\xff\xff\xff")  # no message of ours
    engine.process.stdin.flush()
    assert engine.process.wait(60) == 1


def test_it_is_no_orphan_when_its_parent_is_killed(tmp_path: Path) -> None:
    """The parent holds the pipes; the engine's own group survives the parent's death."""
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys, time\n"
            "engine = subprocess.Popen([sys.executable, '-m', 'modules.engine_main'], stdin=subprocess.PIPE,"
            " stdout=subprocess.PIPE, start_new_session=True)\n"
            "print(engine.pid, flush=True)\n"
            "time.sleep(600)",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    engine = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    psutil.wait_procs([engine], timeout=60)
    assert not engine.is_running()


def test_killed_in_the_middle_the_next_engine_makes_the_rest(
    new_engine: Callable[..., Engine], record: ModelRecord, request_of: Make
) -> None:
    request = request_of(steps=10, batch_count=3)
    first = new_engine()
    first.send(events.RunJob(job="job", kind="image", request=request, models=(record,)))
    made = first.next(events.ImageReady)
    first.process.kill()
    second = new_engine()
    rest = pictures(second.draw(request, record, have=(made.index,)))
    assert [one.index for one in rest] == [1, 2]
    whole = pictures(second.draw(request, record))
    assert [one.png for one in whole] == [made.png, *(one.png for one in rest)]
