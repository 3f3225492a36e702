"""ImageRequest to pictures: the one place where prompts, diffusion, families and imaging meet."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image
from torch import Tensor

from modules.core.errors import InvalidRequest, OutOfMemory, Problem, Skipped
from modules.core.events import ImageReady
from modules.core.extension_points import Denoise, Sampler
from modules.core.requests import ImageRequest, ModelRecord
from modules.diffusion.denoiser import EpsilonDenoiser, guided
from modules.diffusion.noise import Noise
from modules.diffusion.sample import SamplingPlan, schedule_label, sigmas_for, text_to_image
from modules.engine.decode import decode
from modules.engine.job import JobContext
from modules.engine.memory import is_out_of_memory
from modules.engine.models import Loaded
from modules.engine.pace import Pace
from modules.engine.steps import DRAWING, Steps
from modules.imaging.metadata import png_bytes
from modules.prompts.attention import uses_emphasis
from modules.prompts.infotext import write_infotext

Result = TypeVar("Result")

VERSION = "Atelier-0.1.0"  # no version that readers know: theirs would switch old behaviour on


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One request, with everything looked up that its batches share. `sigmas`: the noise levels of its steps."""

    request: ImageRequest
    loaded: Loaded
    sampler: Sampler
    sigmas: list[float]
    schedule_label: str
    context: JobContext

    @property
    def steps(self) -> int:
        """How many there really are; DDIM may take more than were asked for."""
        return len(self.sigmas) - 1


@torch.inference_mode()
def run(request: ImageRequest, context: JobContext) -> None:
    """Draw and deliver the pictures of a request, batch by batch.

    Pictures that an earlier attempt delivered (`context.have`) are not sent again; a batch that lacks some is drawn as
    a whole, so that the missing ones come out as they would have then.
    Raises Cancelled within one step, and NotFinite, OutOfMemory, UnknownName, InvalidModelFile, NoModel.
    """
    context.check()
    drawing = _prepared(request, context)
    batches = [batch for batch in _batches(request) if not context.have.issuperset(batch)]
    pace = Pace(drawing.steps, len(batches))
    with closing(Steps(context, drawing.loaded, pace, drawing.steps, request.batch_count)) as steps:
        denoise = _with_memory(drawing, lambda: _denoise(drawing))
        for batch in batches:
            steps.begin(batch[0] // request.batch_size)
            try:
                _with_memory(drawing, lambda batch=batch: _draw(drawing, batch, denoise, steps))
            except Skipped:
                context.notes.append("A batch was skipped.")
            pace.end()


def _batches(request: ImageRequest) -> Iterator[range]:
    """The indices of each batch's pictures."""
    size = request.batch_size
    return (range(first, first + size) for first in range(0, request.images, size))


def _prepared(request: ImageRequest, context: JobContext) -> Drawing:
    if request.seed < 0:
        raise InvalidRequest(Problem(field="seed", message=f"Seed is {request.seed}; it must be drawn before the job."))
    sampler = context.samplers.find(request.sampler)
    label = schedule_label(sampler, request.schedule, context.schedules)
    record = context.job.models[0] if context.job.models else None
    loaded = _loaded(record, request, context)
    sigmas = sigmas_for(sampler, request.schedule, context.schedules, request.steps, loaded.built.sigmas)
    return Drawing(
        request=request, loaded=loaded, sampler=sampler, sigmas=sigmas, schedule_label=label, context=context
    )


def _loaded(record: ModelRecord | None, request: ImageRequest, context: JobContext) -> Loaded:
    if record is None or context.models.holds(record):
        return context.models.get(record)
    doing = f"Loading {record.title}"
    context.status.say(doing)
    context.report(step=0, steps=request.steps, batches=request.batch_count, doing=doing)
    loaded = context.models.get(record)
    context.status.say(DRAWING)
    context.check()
    return loaded


def _denoise(drawing: Drawing) -> Denoise:
    """The model with this request's text and guidance; prompts are encoded here, once for all batches."""
    request, loaded = drawing.request, drawing.loaded
    built = loaded.built
    denoiser = EpsilonDenoiser(built.predict, built.sigmas, built.dtype)
    cond = _repeated(loaded.embedding(request.prompt, request), request.batch_size)
    uncond = None
    if request.cfg_scale != 1:
        uncond = _repeated(loaded.embedding(request.negative_prompt, request), request.batch_size)
    combine = drawing.context.guidance.find("CFG").combine
    return guided(denoiser, cond, uncond, request.cfg_scale, combine)


def _repeated(embedding: Tensor, count: int) -> Tensor:
    return embedding.expand(count, -1, -1)


def _draw(drawing: Drawing, batch: range, denoise: Denoise, steps: Steps) -> None:
    """One batch: noise, latents, pictures."""
    request, built = drawing.request, drawing.loaded.built
    shape = built.latent_shape(request.width, request.height)
    seeds = [request.seed + index for index in batch]
    plan = SamplingPlan(
        denoise=denoise,
        sampler=drawing.sampler,
        sigmas=drawing.sigmas,
        noise=Noise(seeds, shape, request.noise_source, built.device),
        on_step=steps,
        eta=request.eta,
    )
    latents = text_to_image(plan)
    steps.decoding()
    for index, latent in zip(batch, latents, strict=True):
        drawing.context.check()
        if index not in drawing.context.have:
            _deliver(drawing, index, decode(built, latent, drawing.context.notes))


def _deliver(drawing: Drawing, index: int, image: Image.Image) -> None:
    """Let extensions change the picture, write its text into it, send it."""
    request, context = drawing.request, drawing.context
    image = context.plugins.pass_along("image_ready", image, request=request)
    text = write_infotext(request.prompt, request.negative_prompt, pairs_of(drawing, index))
    picture = ImageReady(
        job=context.job.job,
        index=index,
        png=png_bytes(image, text),
        infotext=text,
        seed=request.seed + index,
        width=image.width,
        height=image.height,
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
    )
    context.send(picture)


def pairs_of(drawing: Drawing, index: int) -> Mapping[str, object]:
    """What is written into picture `index` beside its prompts; None is left out."""
    request, record = drawing.request, drawing.loaded.record
    emphasised = uses_emphasis(request.prompt) or uses_emphasis(request.negative_prompt)
    return {
        "Steps": request.steps,
        "Sampler": drawing.sampler.name,
        "Schedule type": drawing.schedule_label,
        "CFG scale": _brief(request.cfg_scale),
        "Seed": request.seed + index,
        "Size": f"{request.width}x{request.height}",
        "Model hash": record.short_hash or None,
        "Model": _stem(record),
        "Clip skip": request.clip_skip if request.clip_skip > 1 else None,
        "RNG": request.noise_source,
        "Eta": None if request.eta is None else _brief(request.eta),
        "Emphasis": request.emphasis if emphasised and request.emphasis != "Original" else None,
        "Version": VERSION,
    }


def _stem(record: ModelRecord) -> str:
    """The file's name without its last extension; "v1.5.safetensors" is "v1.5"."""
    return Path(record.path).stem


def _brief(number: float) -> int | float:
    """7.0 is written as 7, as people type it."""
    return int(number) if number == int(number) else number


def _with_memory(drawing: Drawing, work: Callable[[], Result]) -> Result:
    """Do some work; when the device has not enough memory, say so instead of what torch says."""
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        request = drawing.request
        message = f"There is not enough memory for {request.batch_size} x {request.width}x{request.height} at a time; make the pictures smaller or fewer at a time."
        raise OutOfMemory(message) from error
