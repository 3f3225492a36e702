"""The desk: names resolved, gaps filled, everything that cannot be done refused before it is queued."""

import io

import pytest
from PIL import Image
from services.small_things import eventually, write_checkpoint
from services.tiny_engine import CATALOGUE

from modules.core.errors import InvalidRequest, NoModel, StorageFailed
from modules.core.extension_points import hookimpl
from modules.core.places import Places
from modules.core.requests import EditRequest, ImageRequest, InterrogateRequest, MergeRequest, UpscaleRequest
from modules.prompts.styles import Style
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


def picture(width=8, height=8):
    with io.BytesIO() as file:
        Image.new("RGB", (width, height), "red").save(file, "PNG")
        return file.getvalue()


def test_every_request_is_a_kind_of_job(desk, studio):
    id = studio.inputs.keep(picture())
    kinds = {
        "edit": EditRequest(init_images=(id,), mask=id, sampler="Euler", prompt="a hat"),
        "upscale": UpscaleRequest(pictures=(id,), upscaler_1="lanczos", upscaler_2="", names=("cat.png",)),
        "interrogate": InterrogateRequest(picture=id),
        "merge": MergeRequest(model_a="tiny", model_b="tiny"),
    }
    jobs = {kind: desk.submit(request) for kind, request in kinds.items()}
    assert {kind: job.kind for kind, job in jobs.items()} == {kind: kind for kind in kinds}
    assert jobs["edit"].request.seed >= 0
    assert (jobs["upscale"].request.upscaler_1, jobs["upscale"].request.upscaler_2) == ("Lanczos", "None")
    title = studio.library.find("tiny").title
    assert jobs["merge"].request.model_b == jobs["interrogate"].request.model == title
    assert [jobs[kind].label for kind in ("edit", "upscale", "interrogate")] == [
        "a hat",
        "Enlarge cat.png",
        "Describe a picture",
    ]
    assert studio.queue.job(jobs["edit"].id).request == jobs["edit"].request, "it comes back from the database whole"


@pytest.mark.parametrize(
    ("request_", "field", "sentence"),
    [
        (EditRequest(sampler="Euler", init_images=("0" * 64,)), "init_images", "Upload the picture again."),
        (UpscaleRequest(pictures=("0" * 64,)), "pictures", "Upload the picture again."),
        (UpscaleRequest(pictures=("0" * 64,), upscaler_1="Lancsos"), "upscaler_1", "No upscaler is called 'Lancsos'"),
        (InterrogateRequest(picture="../../etc/passwd"), "picture", "Upload the picture again."),
        (MergeRequest(model_a="tiny", model_b="tinny"), "model_b", "did you mean 'tiny'?"),
        (MergeRequest(model_a="tiny", model_b="tiny", vae="mse"), "vae", "No vae is called 'mse'"),
        (ImageRequest(sampler="Euler", hr_sampler="Eulr"), "hr_sampler", "did you mean 'Euler'?"),
        (ImageRequest(sampler="Euler", vae="mse"), "vae", "No vae is called 'mse'"),
        (ImageRequest(sampler="Euler", refiner_model="xl"), "refiner_model", "No model is called 'xl'"),
        (ImageRequest(sampler="Euler", guidance="CGF"), "guidance", "did you mean 'CFG'?"),
        (ImageRequest(sampler="Euler", enable_hr=True, hr_upscaler="Latnt"), "hr_upscaler", "No upscaler is called"),
        (ImageRequest(sampler="Euler", styles=("nowhere",)), "styles", "nowhere"),
    ],
)
def test_what_is_not_there_is_named(desk, studio, request_, field, sentence):
    with pytest.raises(InvalidRequest) as refusal:
        desk.submit(request_)
    (problem,) = refusal.value.problems
    assert problem.field == field
    assert sentence in problem.message
    assert studio.queue.jobs() == ()


def test_names_of_the_second_pass_mean_the_same(desk, studio):
    title = studio.library.find("tiny").title
    request = resolved(
        desk,
        enable_hr=True,
        hr_sampler="Use same sampler",
        hr_schedule="Use same scheduler",
        hr_model="Use same checkpoint",
        hr_upscaler="latent (bicubic)",
        refiner_model="None",
        vae="automatic",
    )
    assert (request.hr_sampler, request.hr_schedule, request.hr_model, request.refiner_model) == ("", "", "", "")
    assert (request.hr_upscaler, request.vae) == ("Latent (bicubic)", "Automatic")
    request = resolved(desk, enable_hr=True, hr_sampler="DPM++ 2M Karras", hr_model="tiny", hr_upscaler="lanczos")
    assert (request.hr_sampler, request.hr_schedule, request.hr_model) == ("DPM++ 2M", "Karras", title)
    assert request.hr_upscaler == "Lanczos"


def test_a_variation_has_a_seed_of_its_own(desk):
    plain, varied = resolved(desk, subseed=5), resolved(desk, subseed_strength=0.5)
    assert plain.subseed == 5
    assert 0 <= varied.subseed < 2**32


def test_texts_are_resolved(desk, studio, places):
    places.wildcards.mkdir(parents=True)
    (places.wildcards / "animal.txt").write_text("cat\ndog\nbird\n")
    studio.styles.save(Style(name="bright", prompt="{prompt}, bright", negative_prompt="dark"))
    text = "# a remark\na __animal__"
    request = resolved(desk, prompt=text, styles=("bright",), seed=1, batch_size=4)
    assert len(request.prompts) == 4
    assert {one.split()[1].rstrip(",") for one in request.prompts} <= {"cat", "dog", "bird"}
    assert len(set(request.prompts)) > 1
    assert all(one.endswith(", bright") for one in request.prompts)
    assert request.negative_prompt == "dark"
    assert request.template == "\na __animal__, bright", (
        "a comment leaves its line break at the beginning: the field's way"
    )
    assert request.styles == ()
    again = resolved(desk, prompt=text, styles=("bright",), seed=1, batch_size=4)
    assert again.prompts == request.prompts, "drawn by the seed"
    studio.settings.set({"enable_prompt_comments": False})
    assert "# a remark" in resolved(desk, prompt=text).prompt


def test_a_request_that_was_resolved_stays_as_it_is(desk, studio, places):
    places.wildcards.mkdir(parents=True)
    (places.wildcards / "animal.txt").write_text("cat\ndog\nbird\n")
    first = resolved(desk, prompt="a __animal__", seed=1, batch_size=3)
    assert desk.submit(first).request.prompts == first.prompts
