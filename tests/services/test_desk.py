"""The desk: names resolved, gaps filled, everything that cannot be done refused before it is queued."""

import pytest
from services.small_things import eventually, write_checkpoint
from services.tiny_engine import CATALOGUE

from modules.core.errors import InvalidRequest, NoModel, StorageFailed
from modules.core.extension_points import hookimpl
from modules.core.places import Places
from modules.core.requests import ImageRequest
from modules.services import gallery as gallery_module


@pytest.fixture
def desk(studio):
    """The desk of a studio whose engines are stopped: what is queued stays where it is."""
    eventually(lambda: studio.catalogue.now() == CATALOGUE)
    studio.engines.stop()
    return studio.desk


def resolved(desk, **values) -> ImageRequest:
    return desk.submit(ImageRequest(**({"sampler": "Euler"} | values))).request


def test_the_stored_request_is_complete(desk, studio):
    job = desk.submit(ImageRequest(prompt="a  red\ncat", sampler="k_euler", schedule="karras"), owner="ann")
    request = job.request
    assert (request.sampler, request.schedule) == ("Euler", "Karras")
    assert request.model == studio.library.find("tiny").title
    assert 0 <= request.seed < 2**32
    assert (job.owner, job.label, job.kind) == ("ann", "a red cat", "image")
    assert studio.queue.job(job.id) == job


def test_seeds_are_new_each_time_and_given_ones_stay(desk):
    assert len({resolved(desk).seed for _ in range(5)}) == 5
    assert resolved(desk, seed=2**63 - 1).seed == 2**63 - 1


@pytest.mark.parametrize(
    ("asked", "sampler", "schedule"),
    [
        (("DPM++ 2M Karras", "Automatic"), "DPM++ 2M", "Karras"),
        (("dpm++ 2m karras", "uniform"), "DPM++ 2M", "Karras"),
        (("Euler a", ""), "Euler a", "Automatic"),
        (("DDIM", "automatic"), "DDIM", "Automatic"),
    ],
)
def test_names_of_the_field(desk, asked, sampler, schedule):
    request = resolved(desk, sampler=asked[0], schedule=asked[1])
    assert (request.sampler, request.schedule) == (sampler, schedule)


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"sampler": "Eulr"}, "sampler", "No sampler is called 'Eulr'; did you mean 'Euler'?"),
        ({"sampler": "Euler Karas"}, "sampler", "No sampler is called 'Euler Karas'; did you mean 'Euler a'?"),
        ({"schedule": "Karas"}, "schedule", "No schedule is called 'Karas'; did you mean 'Karras'?"),
        ({"model": "tinny"}, "model", "No model is called 'tinny'; did you mean 'tiny'?"),
        ({"width": 7}, "width", "Width is 7; it must be between 64 and 2048."),
        ({"steps": 0}, "steps", "Sampling steps is 0; it must be between 1 and 150."),
        ({"cfg_scale": float("nan")}, "cfg_scale", "CFG Scale is nan; it must be a number."),
        ({"prompt": "x" * 1_000_000}, "prompt", "at most 20,000"),
        ({"prompt": "half \ud83d"}, "prompt", "no text"),
        ({"batch_count": 100, "batch_size": 8, "width": 2048, "height": 2048, "steps": 150}, "batch_count", "split"),
    ],
)
def test_refused_before_it_is_queued(desk, studio, values, field, sentence):
    with pytest.raises(InvalidRequest) as refusal:
        resolved(desk, **values)
    (problem,) = refusal.value.problems
    assert problem.field == field
    assert sentence in problem.message
    assert studio.queue.jobs() == ()


def test_all_problems_are_named_at_once(desk):
    with pytest.raises(InvalidRequest) as refusal:
        resolved(desk, sampler="x", schedule="y", model="z")
    assert [problem.field for problem in refusal.value.problems] == ["model", "sampler", "schedule"]


def test_eta_is_filled_in_only_when_it_was_changed(desk, studio):
    assert resolved(desk, sampler="Euler a").eta is None
    studio.settings.set({"eta_ancestral": 0.5, "eta_ddim": 0.25})
    assert resolved(desk, sampler="Euler a").eta == 0.5
    assert resolved(desk, sampler="DDIM").eta == 0.25
    assert resolved(desk, sampler="Euler").eta is None
    assert resolved(desk, sampler="Euler a", eta=0.75).eta == 0.75


def test_the_current_model(desk, studio, places):
    write_checkpoint(places.models / "Stable-diffusion" / "another.safetensors")
    studio.library.refresh()
    assert desk.current_model().name == "another"
    studio.settings.set({"sd_model_checkpoint": "tiny"})
    assert desk.current_model().name == "tiny"
    studio.settings.set({"sd_model_checkpoint": "removed.safetensors [0123456789]"})
    assert desk.current_model().name == "another"


def test_a_broken_model_is_refused_with_its_reason(desk, studio, places):
    (places.models / "Stable-diffusion" / "cut.safetensors").write_bytes(b"\0\0")
    studio.library.refresh()
    with pytest.raises(InvalidRequest, match="cut off after 2 bytes"):
        resolved(desk, model="cut")


def test_no_model_at_all(desk, studio, places, monkeypatch):
    monkeypatch.setattr(Places, "checkpoint_folders", property(lambda self: ()))
    studio.library.refresh()
    with pytest.raises(NoModel, match="models/Stable-diffusion"):
        desk.current_model()
    with pytest.raises(InvalidRequest, match="There is no model yet"):
        resolved(desk)
    assert desk.defaults().width == 512


def test_defaults_come_from_settings_and_model(desk, studio):
    studio.settings.set({"CLIP_stop_at_last_layers": 2, "samples_save": False, "emphasis": "No norm"})
    request = desk.defaults(studio.library.find("tiny"))
    assert (request.width, request.height) == (64, 96)
    assert (request.clip_skip, request.save, request.emphasis) == (2, False, "No norm")
    assert desk.submit(request).request.clip_skip == 2


def test_an_extension_may_change_the_request(desk):
    class Polite:
        @staticmethod
        @hookimpl
        def request_received(request: ImageRequest) -> ImageRequest:
            return ImageRequest(prompt=f"please {request.prompt}", sampler="Euler")

    desk.plugins._manager.register(Polite, "polite")
    desk.plugins._extensions["polite"] = ""
    assert resolved(desk, prompt="a cat").prompt == "please a cat"


def test_a_full_disk_takes_no_job(desk, studio, monkeypatch):
    monkeypatch.setattr(gallery_module, "SPARE_BYTES", 1 << 62)
    with pytest.raises(StorageFailed, match="disk is full"):
        resolved(desk)
    assert studio.queue.jobs() == ()
