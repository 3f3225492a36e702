"""Merged checkpoints: exactly what plain torch computes, without holding a model in memory; whole files or none."""

import json
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from modules.core import events
from modules.core.errors import Cancelled, InvalidModelFile, NotFinite, StorageFailed
from modules.core.files import TEMPORARY
from modules.core.requests import FileRecord, MergeRequest, ModelRecord
from modules.core.tensorfile import read_header
from modules.engine import merge, tensor_stream
from modules.families import random_weights
from tests.engine.engine_process import record_of

UNET = "model.diffusion_model."
FIRST = UNET + "input_blocks.0.0.weight"
VAE = "first_stage_model."
SIGN = "decoder.mid.block_1.conv1.weight"  # by which a file is known as an autoencoder


def weights(seed, channels=4, dtype=torch.float32, **more):
    """A toy checkpoint: what matters are names, shapes and kinds of number."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return torch.randn(shape, generator=generator).to(dtype)

    return {
        FIRST: drawn(8, channels, 3, 3),
        UNET + "out.weight": drawn(5, 7),
        UNET + "scale": drawn(),
        UNET + "nothing": drawn(0),
        VAE + "encoder.conv_in.weight": drawn(4, 3, 3, 3),
        VAE + "decoder.conv_out.bias": drawn(3),
        VAE + SIGN: drawn(2, 2, 3, 3),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None] + seed,
        **more,
    }


class Context:
    """What a job kind is given, as far as a merge uses it."""

    def __init__(self, folder, models=(), files=(), stop_at=None):
        self.checkpoints = folder / "out"
        self.job = SimpleNamespace(models=tuple(models), files=tuple(files))
        self.result, self.reports, self.stop_at = [], [], stop_at

    def check(self):
        if self.stop_at is not None and len(self.reports) >= self.stop_at:
            raise Cancelled("the job was interrupted")

    def report(self, **known):
        self.reports.append(known)


def saved(folder, name, tensors, metadata=None):
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.safetensors"
    save_file(tensors, path, metadata)
    size, time = path.stat().st_size, path.stat().st_mtime_ns
    return ModelRecord(name=name, title=path.name, path=str(path), size=size, modified=time, sha256=name[0] * 64)


def request(**known):
    names = {"model_a": "a", "model_b": "b", "model_c": "c"}
    return MergeRequest(**(names | {"half": False} | known))


def merged(folder, request, *models, files=()):
    """(tensors, metadata, file) of the result."""
    context = Context(folder, models, files)
    merge.run(request, context)
    (name,) = context.result
    path = context.checkpoints / name
    assert [one.name for one in context.checkpoints.iterdir()] == [name]
    return load_file(path), read_header(path).metadata, path


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


def plainly(a, b, m, c=None):
    """The same by torch, whole models in memory."""
    result = {}
    for name, one in a.items():
        if not one.is_floating_point():
            result[name] = one
        elif c is None:
            result[name] = one * (1 - m) + b[name] * m
        else:
            result[name] = one + (b[name] - c[name]) * m
    return result


@pytest.mark.parametrize("m", [0.0, 0.3, 0.5, 1.0, -0.5, 2.0])
def test_weighted_sum(tmp_path, m):
    a, b = weights(1), weights(2)
    found, _, _ = merged(tmp_path, request(multiplier=m), saved(tmp_path, "a", a), saved(tmp_path, "b", b))
    same(found, plainly(a, b, m))


@pytest.mark.parametrize("m", [0.3, 1.0])
def test_add_difference(tmp_path, m):
    a, b, c = weights(1), weights(2), weights(3)
    records = [saved(tmp_path, name, one) for name, one in (("a", a), ("b", b), ("c", c))]
    found, _, _ = merged(tmp_path, request(method="Add difference", multiplier=m), *records)
    same(found, plainly(a, b, m, c))


def test_half_is_rounded_once(tmp_path):
    a, b = weights(1, dtype=torch.float16), weights(2, dtype=torch.float16)
    records = (saved(tmp_path, "a", a), saved(tmp_path, "b", b))
    found, _, _ = merged(tmp_path, request(multiplier=0.3, half=True), *records)
    floats = [{name: one.float() if one.is_floating_point() else one for name, one in many.items()} for many in (a, b)]
    wanted = {k: v.half() if v.is_floating_point() else v for k, v in plainly(*floats, 0.3).items()}
    same(found, wanted)


@pytest.mark.parametrize(
    ("of_a", "of_b", "half", "result"),
    [
        (torch.float16, torch.float32, False, torch.float32),
        (torch.float16, torch.bfloat16, False, torch.float32),
        (torch.bfloat16, torch.bfloat16, False, torch.bfloat16),
        (torch.float8_e4m3fn, torch.float8_e4m3fn, False, torch.float16),
        (torch.float8_e5m2, torch.bfloat16, False, torch.float32),
        (torch.float64, torch.float32, True, torch.float16),
    ],
)
def test_kinds_of_number(tmp_path, of_a, of_b, half, result):
    records = (saved(tmp_path, "a", weights(1, dtype=of_a)), saved(tmp_path, "b", weights(2, dtype=of_b)))
    found, _, _ = merged(tmp_path, request(half=half), *records)
    assert found[UNET + "out.weight"].dtype == result


def test_no_interpolation_is_the_model_itself(tmp_path):
    a = weights(1)
    found, _, path = merged(tmp_path, request(method="No interpolation"), saved(tmp_path, "a", a))
    same(found, a)
    assert path.name == "a.safetensors"
    half, _, _ = merged(tmp_path / "half", request(method="No interpolation", half=True), saved(tmp_path, "a", a))
    same(half, {name: one.half() if one.is_floating_point() else one for name, one in a.items()})


def test_tensors_of_one_model_only(tmp_path):
    a, b, c = weights(1, **{"only.a": torch.ones(2)}), weights(2, **{"only.b": torch.ones(3)}), weights(3)
    del c[UNET + "scale"]
    records = [saved(tmp_path, name, one) for name, one in (("a", a), ("b", b), ("c", c))]
    added, _, _ = merged(tmp_path, request(), *records[:2])
    assert {"only.a", "only.b"} <= added.keys()
    assert torch.equal(added["only.b"], b["only.b"])
    difference, _, _ = merged(tmp_path / "d", request(method="Add difference"), *records)
    assert "only.b" not in difference
    assert torch.equal(difference[UNET + "scale"], a[UNET + "scale"])


@pytest.mark.parametrize("channels", [9, 8])
def test_more_input_channels_of_a_stay(tmp_path, channels):
    a, b, c = weights(1, channels), weights(2), weights(3)
    records = [saved(tmp_path, name, one) for name, one in (("a", a), ("b", b), ("c", c))]
    found, _, _ = merged(tmp_path, request(multiplier=0.4), *records[:2])
    assert torch.equal(found[FIRST][:, :4], a[FIRST][:, :4] * (1 - 0.4) + b[FIRST] * 0.4)
    assert torch.equal(found[FIRST][:, 4:], a[FIRST][:, 4:])
    inpainting, _, _ = merged(tmp_path / "d", request(method="Add difference", multiplier=1.0), *records)
    assert torch.equal(inpainting[FIRST][:, :4], a[FIRST][:, :4] + (b[FIRST] - c[FIRST]))
    assert torch.equal(inpainting[FIRST][:, 4:], a[FIRST][:, 4:])


def test_an_inpainting_model_must_come_first(tmp_path):
    records = (saved(tmp_path, "a", weights(1)), saved(tmp_path, "b", weights(2, 9)))
    with pytest.raises(InvalidModelFile, match=r"must be the primary model \(A\)"):
        merged(tmp_path, request(), *records)


def test_models_that_do_not_fit_name_the_first_tensor(tmp_path):
    other = weights(2, **{UNET + "out.weight": torch.ones(5, 8)})
    records = (saved(tmp_path, "a", weights(1)), saved(tmp_path, "b", other))
    with pytest.raises(InvalidModelFile, match=r"out\.weight is \(5, 7\) in the first and \(5, 8\)"):
        merged(tmp_path, request(), *records)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("prefix", ["", VAE])
def test_another_autoencoder(tmp_path, prefix):
    a = weights(1)
    own = {
        f"{prefix}encoder.conv_in.weight": torch.ones(4, 3, 3, 3),
        f"{prefix}decoder.conv_out.bias": torch.ones(3),
        f"{prefix}{SIGN}": torch.ones(2, 2, 3, 3),
    }
    vae = saved(tmp_path, "vae", own | {f"{prefix}loss.discriminator": torch.ones(9)})
    file = FileRecord(kind="vae", name="vae", path=vae.path, size=1, modified=1)
    known = request(method="No interpolation", vae="vae")
    found, _, _ = merged(tmp_path, known, saved(tmp_path, "a", a), files=[file])
    assert found.keys() == a.keys()
    assert torch.equal(found[VAE + "decoder.conv_out.bias"], torch.ones(3))
    assert torch.equal(found[FIRST], a[FIRST])
    with pytest.raises(InvalidModelFile, match="not there any more"):
        merged(tmp_path / "gone", known, saved(tmp_path, "a", a))


def test_an_autoencoder_of_another_kind(tmp_path):
    vae = saved(tmp_path, "vae", {SIGN: torch.ones(1)})
    file = FileRecord(kind="vae", name="vae", path=vae.path, size=1, modified=1)
    with pytest.raises(
        InvalidModelFile, match=r"cannot be put in: it has no first_stage_model\.decoder\.conv_out\.bias"
    ):
        merged(
            tmp_path,
            request(vae="vae"),
            saved(tmp_path, "a", weights(1)),
            saved(tmp_path, "b", weights(2)),
            files=[file],
        )


def test_numbers_that_float16_cannot_hold(tmp_path):
    a = weights(1, big=torch.full((2,), 1e6))
    with pytest.raises(NotFinite, match="big holds numbers that float16 cannot"):
        merged(tmp_path, request(method="No interpolation", half=True), saved(tmp_path, "a", a))
    assert list((tmp_path / "out").iterdir()) == []
    broken = weights(1, nan=torch.tensor([float("nan")]))  # it was that before
    merged(tmp_path / "b", request(method="No interpolation", half=True), saved(tmp_path, "a", broken))


# -- what the file says ---------------------------------------------------------------------------------------------------


def test_the_recipe_is_in_the_file(tmp_path):
    said = {"atelier.config": "{}", "modelspec.author": "Ann", "modelspec.hash_sha256": "0x1", "modelspec.title": "old"}
    records = (saved(tmp_path, "a", weights(1), said), saved(tmp_path, "b", weights(2)))
    _, metadata, path = merged(tmp_path, request(multiplier=0.25), *records)
    assert path.name == "0.75(a) + 0.25(b).safetensors"
    recipe = json.loads(metadata["sd_merge_recipe"])
    assert (recipe["interp_method"], recipe["multiplier"]) == ("Weighted sum", 0.25)
    assert (recipe["primary_model_hash"], recipe["tertiary_model_hash"]) == ("a" * 64, None)
    assert json.loads(metadata["sd_merge_models"])["b" * 64] == {"name": "b.safetensors"}
    assert (metadata["modelspec.author"], metadata["modelspec.title"]) == ("Ann", "0.75(a) + 0.25(b)")
    assert metadata["modelspec.merged_from"] == "a, b"
    assert "modelspec.hash_sha256" not in metadata
    assert metadata["atelier.config"] == "{}"


def test_without_metadata_only_what_loading_needs_stays(tmp_path):
    records = (saved(tmp_path, "a", weights(1), {"atelier.config": "{}", "x": "y"}), saved(tmp_path, "b", weights(2)))
    _, metadata, _ = merged(tmp_path, request(keep_metadata=False), *records)
    assert metadata == {"atelier.config": "{}"}


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("my mix", "my mix"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a\0b\nc:d", "a_b_c_d"),
        (" . ", "merged"),
        ("日本語", "日本語"),
        ("é" * 120, "é" * 100),
    ],
)
def test_a_name_is_a_file_name(asked, name):
    assert merge.file_name(request(name=asked), ["a", "b"]) == name


def test_names_of_themselves():
    assert merge.file_name(request(multiplier=0.3), ["a", "b"]) == "0.7(a) + 0.3(b)"
    assert merge.file_name(request(method="Add difference", multiplier=1), ["a", "b", "c"]) == "a + 1(b - c)"


def test_nothing_is_overwritten(tmp_path):
    record = saved(tmp_path, "a", weights(1))
    for wanted in ("mix.safetensors", "mix (1).safetensors", "mix (2).safetensors"):
        context = Context(tmp_path, [record])
        merge.run(request(method="No interpolation", name="mix"), context)
        assert context.result == [wanted]


# -- interrupted, full, damaged -----------------------------------------------------------------------------------------------


def test_interrupted_leaves_nothing(tmp_path):
    records = (saved(tmp_path, "a", weights(1)), saved(tmp_path, "b", weights(2)))
    context = Context(tmp_path, records, stop_at=2)
    with pytest.raises(Cancelled):
        merge.run(request(), context)
    assert list(context.checkpoints.iterdir()) == []
    assert context.result == []


def test_progress_reaches_the_end(tmp_path):
    context = Context(tmp_path, [saved(tmp_path, "a", weights(1)), saved(tmp_path, "b", weights(2))])
    merge.run(request(), context)
    steps = [one["step"] for one in context.reports]
    assert steps == sorted(set(steps))
    assert steps[-1] == 100


def test_a_full_disk_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(tensor_stream, "SPARE_BYTES", 1 << 60)
    with pytest.raises(StorageFailed, match="too full"):
        merged(tmp_path, request(method="No interpolation"), saved(tmp_path, "a", weights(1)))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 zip", b"\xff" * 100])
def test_damaged_files(tmp_path, damage):
    record = saved(tmp_path, "b", weights(2))
    with open(record.path, "wb") as file:
        file.write(damage)
    with pytest.raises(InvalidModelFile):
        merged(tmp_path, request(), saved(tmp_path, "a", weights(1)), record)


def test_what_cannot_be_merged_says_so(tmp_path):
    a = saved(tmp_path, "a", weights(1))
    with pytest.raises(InvalidModelFile, match="needs 3 models and got 1"):
        merged(tmp_path, request(method="Add difference"), a)
    folder = ModelRecord(name="f", title="f", path=str(tmp_path), size=0, modified=0)
    with pytest.raises(InvalidModelFile, match="diffusers folder"):
        merged(tmp_path, request(), a, folder)


def test_what_a_crash_left_is_removed_an_hour_later(tmp_path, monkeypatch):
    monkeypatch.setattr(merge, "ABANDONED", -1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".old.safetensors.12345678.atelier-part").touch()
    merged(tmp_path, request(method="No interpolation"), saved(tmp_path, "a", weights(1)))
    assert not list((tmp_path / "out").glob(".old*"))


MEASURE = """
import resource, sys
from pathlib import Path
from tests.engine.test_merge import Context, request
from modules.core.requests import ModelRecord
from modules.engine import merge
folder = Path(sys.argv[1])
records = [ModelRecord(name=n, title=n, path=str(folder / f"{n}.safetensors"), size=0, modified=0) for n in "ab"]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
merge.run(request(half=True), Context(folder, records))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_does_not_grow_with_the_models(tmp_path):
    """Two models of 240 MB in tensors of 4 MB."""
    many = {f"model.{n}": torch.full((1 << 20,), float(n)) for n in range(60)}
    for name in "ab":
        saved(tmp_path, name, many)
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 80


# -- in a real engine ------------------------------------------------------------------------------------------------------------


def test_an_engine_merges_and_loads_the_result(tmp_path, small_file, new_engine):
    other = tmp_path / "other.safetensors"
    random_weights.write(other, random_weights.small(), seed=1)
    records = (record_of(small_file), record_of(other))
    engine = new_engine(events.EngineOptions(device="cpu", name="cpu", threads=1, checkpoints=str(tmp_path / "made")))
    job = MergeRequest(model_a="small", model_b="other", multiplier=0.5)
    engine.send(events.RunJob(job="1", kind="merge", request=job, models=records))
    heard = engine.until_over()
    assert isinstance(heard[-1], events.Finished), heard[-1]
    assert [one.step for one in heard if isinstance(one, events.Progress)][-1] == 100
    path = tmp_path / "made" / heard[-1].result
    a, b, found = load_file(small_file), load_file(other), load_file(path)
    for name, tensor in a.items():
        if tensor.is_floating_point():
            assert torch.equal(found[name], (tensor.float() * 0.5 + b[name].float() * 0.5).half()), name
    engine.send(events.LoadModel(record=record_of(path)))
    assert engine.next(events.ModelLoaded, events.Failed).record.path == str(path)


def test_a_part_that_another_merge_finishes_meanwhile_is_no_error(tmp_path, monkeypatch):
    old = tmp_path / f".old.safetensors.1{TEMPORARY}"
    old.write_bytes(b"left behind")
    os.utime(old, (0, 0))
    gone = tmp_path / f".gone.safetensors.2{TEMPORARY}"
    monkeypatch.setattr(merge, "leftovers", lambda folder: iter([gone, old]))
    merge._sweep(tmp_path)
    assert not old.exists()


def test_two_at_once_do_not_touch_each_other(tmp_path):
    """Two engines may merge into one folder."""
    record = saved(tmp_path, "a", weights(1))
    contexts = [Context(tmp_path, [record]) for _ in range(4)]
    threads = [
        threading.Thread(target=merge.run, args=(request(method="No interpolation", name=str(n)), context))
        for n, context in enumerate(contexts)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for context in contexts for name in context.result) == [f"{n}.safetensors" for n in range(4)]


def test_a_whole_small_model_with_its_own_autoencoder_in_diffusers_form(tmp_path, small_file):
    """What diffusers saves goes back to where it came from, bit for bit."""
    from modules.families.built import BuildOptions
    from modules.families.kinds import sd15

    (family,) = [one for one in sd15.register_families() if one.matches(read_header(small_file).shapes)]
    built = family.build(small_file, BuildOptions(device=torch.device("cpu"), half=False))
    built.vae.to(torch.float16).save_pretrained(tmp_path / "vae")
    path = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    config = {"atelier.config": json.dumps({"vae": dict(built.config["vae"])})}
    save_file(load_file(path), path, config)
    file = FileRecord(kind="vae", name="vae", path=str(path), size=1, modified=1)
    asked = request(method="No interpolation", vae="vae", half=True)
    found, _, _ = merged(tmp_path, asked, record_of(small_file), files=[file])
    same(found, load_file(small_file))
