"""UpscaleRequest to larger pictures, with real messages and, once, in a real engine process."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin
from safetensors.torch import save_file

from modules.core import events
from modules.core.errors import Cancelled, InvalidImage, InvalidModelFile, InvalidRequest, UnknownName
from modules.core.requests import FileRecord, UpscaleRequest
from modules.engine import upscale
from modules.engine.upscale import POSTPROCESSING, postprocessing, target
from modules.engine.upscalers import find_upscaler
from modules.imaging.metadata import read_text
from modules.imaging.networks.rrdb import RRDBNet
from tests.engine.in_this_process import context_of

INFOTEXT = "a cat\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 123, Size: 16x12"


def png(image, **texts):
    chunks = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        chunks.add_text(key, value)
    written = io.BytesIO()
    image.save(written, "PNG", pnginfo=chunks)
    return written.getvalue()


def noise(width=16, height=12, mode="RGB", seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def job_of(request, *contents, files=(), have=()):
    inputs = tuple(events.InputPicture(id=str(n), data=data) for n, data in enumerate(contents))
    return events.RunJob(job="job", kind="upscale", request=request, inputs=inputs, files=files, have=have)


def asked(count=1, **fields):
    return UpscaleRequest(**({"pictures": tuple(str(n) for n in range(count)), "upscale_by": 2} | fields)).checked()


def made(request, *contents, **known):
    context, connection = context_of(job_of(request, *contents, **known))
    upscale.run(request, context)
    return [one for one in connection.heard() if isinstance(one, events.ImageReady)]


def opened(ready):
    return Image.open(io.BytesIO(ready.png))


@pytest.fixture(scope="module")
def esrgan(tmp_path_factory):
    """A small ESRGAN file with random weights, in the layout of Real-ESRGAN."""
    torch.manual_seed(0)
    net = RRDBNet(channels=3, width=8, growth=4, blocks=1, ups=1)
    names = {"first": "conv_first", "trunk": "conv_body", "hr": "conv_hr", "last": "conv_last", "ups.0": "conv_up1"}
    state = {}
    for name, value in net.state_dict().items():
        head, _, end = name.rpartition(".")
        parts = head.split(".")
        if parts[0] == "blocks":
            head = f"body.{parts[1]}.rdb{int(parts[2]) + 1}.conv{int(parts[4]) + 1}"
        state[f"{names.get(head, head)}.{end}"] = value.contiguous()
    path = tmp_path_factory.mktemp("ESRGAN") / "4x-Small.safetensors"
    save_file(state, path)
    torch.save({"params": state}, path.with_suffix(".pth"))
    return path


def record(path):
    stat = path.stat()
    return FileRecord(kind="upscaler", name=path.stem, path=str(path), size=stat.st_size, modified=stat.st_mtime_ns)


# By how much --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"upscale_by": 2}, (32, 24)),
        ({"upscale_by": 1.5}, (24, 18)),
        ({"upscale_by": 0.5}, (8, 6)),
        ({"by_size": True, "upscale_w": 64, "upscale_h": 64}, (64, 64)),
        ({"by_size": True, "upscale_w": 64, "upscale_h": 64, "crop": False}, (85, 64)),
        ({"by_size": True, "upscale_w": 64, "upscale_h": 20}, (64, 20)),
    ],
)
def test_sizes(fields, size):
    (ready,) = made(asked(**fields), png(noise()))
    assert (ready.width, ready.height) == opened(ready).size == size


def test_cutting_keeps_the_middle():
    picture = Image.new("RGB", (90, 30), "green")
    picture.paste("red", (0, 0, 20, 30))
    picture.paste("blue", (70, 0, 90, 30))
    (ready,) = made(asked(by_size=True, upscale_w=64, upscale_h=64), png(picture))
    assert set(opened(ready).crop((8, 8, 56, 56)).get_flattened_data()) == {(0, 128, 0)}


def test_too_large_is_refused_before_it_is_made():
    with pytest.raises(InvalidRequest, match="64,000,000"):
        target(asked(upscale_by=8), (4000, 4000))
    with pytest.raises(InvalidRequest, match="64,000,000"):
        target(asked(by_size=True, upscale_w=16384, upscale_h=1), (100, 100))


# By what ------------------------------------------------------------------------------------------------------------


def test_none_leaves_the_picture_and_its_texts():
    source = noise()
    (ready,) = made(asked(upscaler_1="None"), png(source, parameters=INFOTEXT))
    assert opened(ready).tobytes() == source.tobytes()
    assert read_text(ready.png).items == {"parameters": INFOTEXT}


def test_an_empty_name_is_none():
    (ready,) = made(asked(upscaler_1=""), png(noise()))
    assert ready.width == 16


def test_two_upscalers_are_blended():
    source = png(noise())
    alone = [np.asarray(opened(made(asked(upscaler_1=name), source)[0])).astype(int) for name in ("Lanczos", "Nearest")]
    both = asked(upscaler_1="Lanczos", upscaler_2="Nearest", upscaler_2_visibility=0.25)
    blended = np.asarray(opened(made(both, source)[0])).astype(int)
    assert np.abs(blended - (0.75 * alone[0] + 0.25 * alone[1])).max() <= 1


def test_a_second_upscaler_that_is_not_seen_is_not_run():
    request = asked(upscaler_2="nothing of that name", upscaler_2_visibility=0)
    assert len(made(request, png(noise()))) == 1


def test_unknown_names_get_a_suggestion():
    with pytest.raises(UnknownName, match="did you mean 'Lanczos'"):
        made(asked(upscaler_1="Lanczoss"), png(noise()))


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_a_model_file_enlarges(esrgan, ending):
    found = record(esrgan.with_suffix(ending))
    (ready,) = made(asked(upscaler_1="4x-small", upscale_by=2), png(noise(40, 30)), files=(found,))
    assert opened(ready).size == (80, 60)
    assert "Postprocess upscaler: 4x-Small" in read_text(ready.png).items[POSTPROCESSING]


def test_a_file_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'canary')!r}, 'w')",))

    path = tmp_path / "evil.pth"
    torch.save({"params": Evil()}, path)
    with pytest.raises(InvalidModelFile, match="could run code"):
        made(asked(upscaler_1="evil"), png(noise()), files=(record(path),))
    assert not (tmp_path / "canary").exists()


def test_a_replaced_file_is_read_again(esrgan, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(esrgan.read_bytes())
    request = asked(upscaler_1="x")
    made(request, png(noise()), files=(record(path),))
    path.write_bytes(b"broken")
    with pytest.raises(InvalidModelFile):
        made(request, png(noise()), files=(record(path),))


def test_a_file_with_the_name_of_a_plugin_does_not_hide_it(esrgan):
    taken = FileRecord(kind="upscaler", name="Lanczos", path=str(esrgan), size=1, modified=1)
    context, _ = context_of(job_of(asked(), png(noise()), files=(taken,)))
    assert find_upscaler("lanczos", context).note != "model"


# What is said -------------------------------------------------------------------------------------------------------


def test_the_sources_texts_stay_and_one_is_added():
    source = png(noise(), parameters=INFOTEXT, Title="猫", postprocessing="older")
    (ready,) = made(asked(upscaler_1="Nearest"), source)
    assert read_text(ready.png).items == {
        "parameters": INFOTEXT,
        "Title": "猫",
        "postprocessing": "Postprocess upscale by: 2, Postprocess upscaler: Nearest",
    }
    assert (ready.infotext, ready.seed, ready.prompt, ready.negative_prompt) == (INFOTEXT, 123, "a cat", "blurry")


def test_a_picture_without_texts_gets_the_one():
    (ready,) = made(asked(), png(noise()))
    assert list(read_text(ready.png).items) == [POSTPROCESSING]
    assert (ready.infotext, ready.seed) == ("", 0)


def test_the_text_of_a_jpeg_stays():
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + INFOTEXT.encode("utf-16-be")
    written = io.BytesIO()
    noise().save(written, "JPEG", exif=exif)
    (ready,) = made(asked(), written.getvalue())
    assert read_text(ready.png).infotext == INFOTEXT
    assert set(read_text(ready.png).items) == {"parameters", POSTPROCESSING}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"upscale_by": 1.5}, "Postprocess upscale by: 1.5, Postprocess upscaler: Lanczos"),
        (
            {"by_size": True, "upscale_w": 64, "upscale_h": 32},
            "Postprocess upscale to: 64x32, Postprocess upscaler: Lanczos, Postprocess crop to: 64x32",
        ),
        (
            {"by_size": True, "crop": False, "upscaler_2": "Nearest", "upscaler_2_visibility": 0.5},
            "Postprocess upscale to: 512x512, Postprocess upscaler: Lanczos, Postprocess upscaler 2: Nearest, "
            "Postprocess upscaler 2 visibility: 0.5",
        ),
    ],
)
def test_what_was_done_is_written_as_the_field_writes_it(fields, text):
    request = asked(**fields)
    context, _ = context_of(job_of(request, png(noise())))
    second = find_upscaler("Nearest", context) if "upscaler_2" in fields else None
    assert postprocessing(request, find_upscaler("Lanczos", context), second) == text


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L"])
def test_transparency_stays(mode):
    source = noise().convert("RGBA")
    source.putalpha(Image.linear_gradient("L").resize(source.size))
    source = source.convert(mode) if mode != "P" else source.quantize()
    (ready,) = made(asked(), png(source))
    result = opened(ready)
    assert result.size == (32, 24)
    assert result.mode == ("RGB" if mode == "L" else "RGBA")
    if mode != "L":
        assert result.getextrema()[3][0] < 20


# Many, stopped, again -----------------------------------------------------------------------------------------------


def test_a_batch_comes_in_order_with_progress():
    sources = [png(noise(seed=n)) for n in range(3)]
    request = asked(3)
    context, connection = context_of(job_of(request, *sources))
    upscale.run(request, context)
    heard = connection.heard()
    ready = [one for one in heard if isinstance(one, events.ImageReady)]
    assert [one.index for one in ready] == [0, 1, 2]
    assert [one.png for one in ready] == [made(asked(), source)[0].png for source in sources]
    progress = [one for one in heard if isinstance(one, events.Progress)]
    assert {(one.batch, one.batches) for one in progress} == {(0, 3), (1, 3), (2, 3)}
    assert {one.doing for one in progress} == {"Enlarging"}


def test_tiles_are_reported(esrgan):
    request = asked(upscaler_1="4x-Small", tile=16, tile_overlap=4)
    context, connection = context_of(job_of(request, png(noise(40, 30)), files=(record(esrgan),)))
    upscale.run(request, context)
    steps = [(one.step, one.steps) for one in connection.heard() if isinstance(one, events.Progress)]
    assert steps[1:] == [(n, 9) for n in range(1, 10)]


def test_what_an_earlier_attempt_delivered_is_not_made_again():
    ready = made(asked(3), *[png(noise())] * 3, have=(0, 2))
    assert [one.index for one in ready] == [1]


def test_it_stops_within_a_tile(esrgan):
    request = asked(upscaler_1="4x-Small", tile=16, tile_overlap=4)
    context, connection = context_of(job_of(request, png(noise(40, 30)), files=(record(esrgan),)))

    def stop(message):
        if isinstance(message, events.Progress) and message.step == 2:
            context.wishes.cancel.set()

    connection.on_message = stop
    with pytest.raises(Cancelled):
        upscale.run(request, context)
    steps = [one.step for one in connection.heard() if isinstance(one, events.Progress)]
    assert max(steps) == 2


def test_skipping_leaves_one_picture():
    request = asked(2)
    context, connection = context_of(job_of(request, *[png(noise())] * 2))
    context.wishes.skip.set()
    with pytest.raises(Exception, match="skipped"):
        context.check()
    connection.on_message = lambda message: (
        context.wishes.skip.set() if isinstance(message, events.Progress) and message.batch == 0 else None
    )
    upscale.run(request, context)
    assert [one.index for one in connection.heard() if isinstance(one, events.ImageReady)] == [1]
    assert context.notes == ["Picture 1 was skipped."]


def test_what_is_no_picture_fails_with_a_sentence():
    with pytest.raises(InvalidImage):
        made(asked(), b"no picture")


def test_in_an_engine_process(engine):
    assert [one.name for one in engine.ready.catalogue.upscalers][:3] == ["None", "Lanczos", "Nearest"]
    assert "upscale" in engine.ready.catalogue.job_kinds
    engine.send(job_of(asked(), png(noise(), parameters=INFOTEXT)))
    heard = engine.until_over()
    (ready,) = (one for one in heard if isinstance(one, events.ImageReady))
    assert opened(ready).size == (32, 24)
    assert heard[-1] == events.Finished(job="job")
