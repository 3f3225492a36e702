"""What an engine needs for a job beside the request: the model files it names, networks, and the pictures it works on."""

from collections.abc import Iterator
from pathlib import Path

from modules.core.events import InputPicture, RunJob
from modules.core.requests import FileRecord, ImageRequest, MergeRequest, ModelRecord, UpscaleRequest
from modules.prompts.networks import cut_networks
from modules.services.needs import Needs
from modules.services.resolving import OWN_VAE
from modules.services.shelf import Shelf
from modules.services.texts import notes
from modules.storage.records import Job

UPSCALES = (UpscaleRequest, ImageRequest)


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
        inputs=tuple(InputPicture(id=id, data=needs.inputs.get(id)) for id in dict.fromkeys(job.request.inputs)),
        have=tuple(picture.index for picture in needs.gallery.pictures(job=job.id)),
        preview_every=max(0, every),
        preview=str(settings.get("show_progress_type")),
        notes=notes(job.request) if isinstance(job.request, ImageRequest) else (),
    )


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
        yield from _autoencoder(request, job, needs)
    if isinstance(request, MergeRequest) and request.vae not in OWN_VAE:
        yield shelf.find("vae", request.vae)
    if isinstance(request, UPSCALES):
        yield from shelf.files("upscaler")


def _autoencoder(request: ImageRequest, job: Job, needs: Needs) -> Iterator[FileRecord]:
    """The one that was asked for; automatically, those that belong to the models."""
    shelf = needs.shelf
    if request.vae not in OWN_VAE:
        yield shelf.with_hash(shelf.find("vae", request.vae))
    if request.vae != "Automatic":
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
