"""Pictures for whoever works in this process: those of txt2img, and the model is left as it was."""

from dataclasses import replace

import pytest
import torch

from modules.core import events
from modules.core.errors import Cancelled
from modules.core.requests import FileRecord
from modules.engine import generate
from modules.engine.embeddings import hold
from modules.engine.inner import drawn
from tests.engine.in_this_process import context_of


@pytest.fixture
def context(record):
    job = events.RunJob(job="outer", kind="train", request=None, models=(record,))
    context, heard = context_of(job)
    return replace(context, notes=["before"]), heard


def of_txt2img(context, request):
    job = replace(context.job, kind="image", request=request)
    outer, heard = context_of(job, context.models)
    generate.run(request, outer)
    return [one for one in heard.heard() if isinstance(one, events.ImageReady)]


def test_the_same_pictures_as_txt2img_and_none_is_sent(context, record, request_of):
    context, heard = context
    request = request_of(batch_size=2, batch_count=2, steps=2)
    loaded = context.models.get(record)
    parts = []
    found = drawn(request, context, loaded, on_progress=parts.append)
    assert [one.index for one in found] == [0, 1, 2, 3]
    assert [one.png for one in found] == [one.png for one in of_txt2img(context, request)]
    assert parts == sorted(parts)
    assert parts[-1] == 1.0
    assert not any(isinstance(one, events.ImageReady | events.Progress) for one in heard.heard())
    assert context.notes == ["before"]


def test_it_sees_weights_that_have_changed_since(context, record, request_of):
    """Nothing of the texts is remembered: the text encoder may have learned in between."""
    context, _ = context
    loaded = context.models.fresh(record, half=False)
    (before,) = drawn(request_of(), context, loaded)
    with torch.no_grad():
        loaded.built.text_encoder.get_input_embeddings().weight.mul_(2)
    (after,) = drawn(request_of(), context, loaded)
    assert before.png != after.png
    assert len(loaded.texts) == 0


def test_training_flags_and_gradients_are_left_alone(context, record, request_of):
    context, _ = context
    loaded = context.models.fresh(record, half=False)
    unet = loaded.built.unet
    unet.train()
    unet.mid_block.eval()
    modes = [part.training for part in unet.modules()]
    weight = next(unet.parameters())
    weight.requires_grad_(True)
    weight.grad = torch.ones_like(weight)
    with torch.autocast("cpu", torch.bfloat16):
        (within,) = drawn(request_of(), context, loaded)
    assert [part.training for part in unet.modules()] == modes
    assert weight.requires_grad
    assert bool((weight.grad == 1).all())
    unet.eval()
    (plain,) = drawn(request_of(), context, loaded)
    assert within.png == plain.png


def test_vectors_that_lie_in_no_file(context, record, request_of):
    context, _ = context
    loaded = context.models.fresh(record, half=False)
    file = FileRecord(kind="embedding", name="catty", path="in memory: x", size=0, modified=0)
    pictures = []
    for value in (0.1, 0.3):
        hold(file, {"clip_l": torch.full((2, 32), value)})
        (one,) = drawn(request_of(prompt="a catty"), context, loaded, files=(file,))
        pictures.append(one.png)
    (without,) = drawn(request_of(prompt="a catty"), context, loaded)
    assert len({*pictures, without.png}) == 3


def test_remarks_are_handed_over(context, record, request_of):
    context, _ = context
    notes = []
    drawn(request_of(prompt="<lora:nowhere:1> a cat", steps=1), context, context.models.get(record), notes=notes)
    assert notes == ["There is no lora called 'nowhere'; it was left out."]


def test_the_jobs_interruption_ends_it(context, record, request_of):
    context, _ = context
    parts = []

    def on_progress(part):
        parts.append(part)
        context.wishes.cancel.set()

    with pytest.raises(Cancelled):
        drawn(request_of(steps=30), context, context.models.get(record), on_progress=on_progress)
    assert len(parts) <= 3


def test_a_batch_that_is_skipped_outside_is_drawn_here(context, record, request_of):
    context, _ = context
    context.wishes.skip.set()
    assert len(drawn(request_of(steps=1), context, context.models.get(record))) == 1


def test_a_fresh_model_is_nobody_elses(context, record):
    context, _ = context
    held = context.models.get(record)
    fresh = context.models.fresh(record, half=False)
    assert fresh.built.unet is not held.built.unet
    assert context.models.current is None
    assert fresh.built.dtype == torch.float32
    lending = context.models.lending(fresh)
    assert lending.get(None) is fresh
    assert lending.holds(record)
    assert lending.device == context.models.device
