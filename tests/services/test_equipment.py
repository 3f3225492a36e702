"""What goes to an engine with a job: models, networks by the names in prompts, autoencoders, pictures."""

import io
import json
import struct

import pytest
from PIL import Image
from services.small_things import eventually, write_checkpoint
from services.tiny_engine import CATALOGUE
from services.training_things import picture

from modules.core.errors import NotFound, UnknownName
from modules.core.requests import EditRequest, ImageRequest, InterrogateRequest, MergeRequest, UpscaleRequest
from modules.core.training import TrainingPlan
from modules.services.equipment import equipped


def write(path, metadata=None):
    """A sound safetensors file of one tensor."""
    header = json.dumps(
        ({"__metadata__": metadata} if metadata else {}) | {"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    ).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    return path


@pytest.fixture
def ready(studio, places):
    """A function that equips the job of a request; engines are stopped, so nothing else takes it."""
    eventually(lambda: studio.catalogue.now() == CATALOGUE)
    studio.engines.stop()
    models = places.models
    write_checkpoint(models / "Stable-diffusion" / "other.safetensors")
    for name in ("fur", "sea", "deep/moss"):
        write(models / "Lora" / f"{name}.safetensors", {"ss_output_name": name.rsplit("/", 1)[-1].title()})
    write(models / "VAE" / "mse.safetensors")
    write(models / "ESRGAN" / "crisp.safetensors")
    write(models / "embeddings" / "style.safetensors")
    studio.library.refresh()
    studio.shelf.refresh()
    needs = studio.engines._supervisors[0]._needs

    def equip(request):
        return equipped(studio.desk.submit(request), needs)

    return equip


def names(message, kind):
    return {one.name for one in message.files if one.kind == kind}


def test_a_plain_picture_needs_its_model_and_all_embeddings(ready):
    message = ready(ImageRequest(sampler="Euler", model="tiny"))
    assert [one.name for one in message.models] == ["tiny"]
    assert names(message, "embedding") == {"style"}
    assert names(message, "lora") == names(message, "vae") == set()
    assert (message.inputs, message.notes) == ((), ())


def test_networks_come_by_the_names_in_any_prompt(ready):
    request = ImageRequest(
        sampler="Euler",
        prompt="{a<lora:fur:1>|a<lora:Sea:0.5>}",
        hr_prompt="b <lyco:moss> <lora:nowhere>",
        enable_hr=True,
        batch_size=8,
        seed=1,
    )
    message = ready(request)
    assert {name.rsplit("/", 1)[-1] for name in names(message, "lora")} == {"fur", "sea", "moss"}
    assert all(one.short_hash for one in message.files if one.kind == "lora"), "their hashes go into the picture's text"
    without = ready(ImageRequest(sampler="Euler", hr_prompt="<lora:fur:1>"))
    assert names(without, "lora") == set(), "there is no second pass"


def test_every_model_that_is_named(ready):
    request = ImageRequest(sampler="Euler", model="tiny", hr_model="other", enable_hr=True, refiner_model="other")
    assert [one.name for one in ready(request).models] == ["tiny", "other"]
    assert [one.name for one in ready(MergeRequest(model_a="other", model_b="tiny", vae="mse")).models] == [
        "other",
        "tiny",
    ]
    assert names(ready(MergeRequest(model_a="other", model_b="tiny", vae="mse")), "vae") == {"mse"}
    assert [one.name for one in ready(MergeRequest(model_a="tiny", model_b="tiny")).models] == ["tiny", "tiny"]


def test_autoencoders(ready, studio, places):
    assert names(ready(ImageRequest(sampler="Euler", vae="mse.safetensors")), "vae") == {"mse"}
    assert names(ready(ImageRequest(sampler="Euler", vae="None")), "vae") == set()
    write(places.models / "VAE" / "other.safetensors")
    studio.shelf.refresh()
    assert names(ready(ImageRequest(sampler="Euler", model="other")), "vae") == {"other"}
    write(places.models / "Stable-diffusion" / "other.vae.safetensors")
    studio.shelf.refresh()
    assert names(ready(ImageRequest(sampler="Euler", model="other")), "vae") == {"other.vae"}


def test_pictures_travel_with_the_job(ready, studio):
    with io.BytesIO() as file:
        Image.new("RGB", (8, 8), "red").save(file, "PNG")
        content = file.getvalue()
    id = studio.inputs.keep(content)
    message = ready(EditRequest(sampler="Euler", init_images=(id,), mask=id))
    assert [(one.id, one.data) for one in message.inputs] == [(id, content)]
    assert message.kind == "edit"
    assert names(ready(UpscaleRequest(pictures=(id,), upscaler_1="crisp")), "upscaler") == {"crisp"}
    described = ready(InterrogateRequest(picture=id))
    assert (len(described.inputs), len(described.models)) == (1, 1)


def test_a_trainings_pictures_are_named_by_their_files(ready, studio, places):
    """There may be more than a message can hold. Its previews are drawn as txt2img would: with embeddings and autoencoder."""
    write(places.models / "Stable-diffusion" / "other.vae.safetensors")
    studio.shelf.refresh()
    ids = [picture(studio, number) for number in (1, 2, 1)]
    message = ready(TrainingPlan(model="other", class_noun="cat", pictures=(*ids,)))
    assert message.inputs == ()
    assert [(one.id, one.path) for one in message.input_files] == [(id, str(studio.inputs.path(id))) for id in ids[:2]]
    assert [one.name for one in message.models] == ["other"]
    assert (names(message, "embedding"), names(message, "vae")) == ({"style"}, {"other.vae"})


def test_what_has_gone_since_is_a_sentence(ready, studio, places):
    job = studio.desk.submit(ImageRequest(sampler="Euler", model="other"))
    (places.models / "Stable-diffusion" / "other.safetensors").unlink()
    studio.library.refresh()
    with pytest.raises((UnknownName, NotFound)):
        equipped(job, studio.engines._supervisors[0]._needs)


def test_remarks_that_are_known_already(ready):
    (note,) = ready(ImageRequest(sampler="Euler", prompt="a __nowhere__")).notes
    assert "no wildcard 'nowhere'" in note
