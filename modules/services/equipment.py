"""What an engine needs for a job beside the request: the model files it names, networks, and the pictures it works on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modules.core.events import InputFile, InputPicture, RunJob
from modules.core.requests import FileRecord, ImageRequest, MergeRequest, ModelRecord, UpscaleRequest
from modules.core.training import EvaluationRequest, TrainingPlan
from modules.prompts.networks import cut_networks
from modules.services.needs import Needs
from modules.services.resolving import OWN_VAE
from modules.services.shelf import Shelf
from modules.services.texts import notes
from modules.storage.records import Job

UPSCALES = (UpscaleRequest, ImageRequest)
TRAINS = (TrainingPlan, EvaluationRequest)


def equipped(job: Job, needs: Needs) -> RunJob:
    """The message that makes an engine begin this job. Raises UnknownName, NotFound when a file has gone since."""
    settings = needs.settings
    every = int(settings.get("show_progress_every_n_steps")) if settings.get("live_previews_enable") else 0
    return RunJob(
        job=job.id,
        kind=job.kind,
        request=job.request,
        models=tuple(_models(job, needs)),
        files=tuple(_files(job, needs)),
        **_inputs(job, needs),
        have=tuple(picture.index for picture in needs.gallery.pictures(job=job.id)),
        preview_every=max(0, every),
        preview=str(settings.get("show_progress_type")),
        notes=notes(job.request) if isinstance(job.request, ImageRequest) else (),
    )


def _inputs(job: Job, needs: Needs) -> dict[str, Any]:
    """The pictures themselves; a training's, which may be more than a message holds, by their files."""
    ids = tuple(dict.fromkeys(job.request.inputs))
    if isinstance(job.request, TRAINS):
        return {"input_files": tuple(InputFile(id=id, path=str(needs.inputs.path(id))) for id in ids)}
    return {"inputs": tuple(InputPicture(id=id, data=needs.inputs.get(id)) for id in ids)}


def _models(job: Job, needs: Needs) -> Iterator[ModelRecord]:
    """The request's own model first, then the others it names."""
    request = job.request
    names = [request.model]
    if isinstance(request, ImageRequest):
        names += [request.hr_model if request.enable_hr else "", request.refiner_model]
    if isinstance(request, MergeRequest):
        names = [request.model_a, request.model_b, request.model_c]
    for name in names if isinstance(request, MergeRequest) else dict.fromkeys(names):
        if name:
            yield needs.library.with_hash(needs.library.find(name))


def _files(job: Job, needs: Needs) -> Iterator[FileRecord]:
    """Networks that a prompt names, all embeddings, the autoencoder, upscalers."""
    request, shelf = job.request, needs.shelf
    if isinstance(request, ImageRequest):
        yield from shelf.files("embedding")
        yield from _networks(request, shelf)
        yield from _autoencoder(request.vae, job, needs)
    if isinstance(request, TRAINS):  # what it draws on the way is drawn as txt2img would
        yield from shelf.files("embedding")
        yield from _autoencoder("Automatic", job, needs)
    if isinstance(request, MergeRequest) and request.vae not in OWN_VAE:
        yield shelf.find("vae", request.vae)
    if isinstance(request, UPSCALES):
        yield from shelf.files("upscaler")


def _autoencoder(name: str, job: Job, needs: Needs) -> Iterator[FileRecord]:
    """The one that was asked for; automatically, those that belong to the models."""
    shelf = needs.shelf
    if name not in OWN_VAE:
        yield shelf.with_hash(shelf.find("vae", name))
    if name != "Automatic":
        return
    for model in _models(job, needs):
        stem = Path(model.path).stem
        found = shelf.beside(model) or next((one for one in shelf.files("vae") if one.name == stem), None)
        if found is not None:
            yield shelf.with_hash(found)


def _networks(request: ImageRequest, shelf: Shelf) -> Iterator[FileRecord]:
    """Those whose names stand in any of the prompts; what is missing is the engine's to remark on."""
    texts = [request.prompt, *request.prompts]
    if request.enable_hr:
        texts += [request.hr_prompt, *request.hr_prompts]
    wanted = {(one.kind, one.name) for text in dict.fromkeys(texts) for one in cut_networks(text)[1]}
    for kind, name in sorted(wanted):
        found = shelf.network(kind, name)
        if found is not None:
            yield shelf.with_hash(found)
