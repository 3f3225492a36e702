"""A request to pictures: the one place where prompts, diffusion, families and imaging meet."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor

from modules.core.errors import InvalidRequest, Problem, Skipped
from modules.core.events import ImageReady
from modules.core.requests import EditRequest, ImageRequest, ModelRecord
from modules.engine.courses import Course, first_course, second_course
from modules.engine.decode import decode
from modules.engine.edits import Ground, ground_of
from modules.engine.enlarging import LATENT, latents_enlarged, pictures_enlarged, target_of
from modules.engine.equipped import vae_file, with_vae
from modules.engine.infotexts import Facts, pairs_of, seed_of, used_files
from modules.engine.job import JobContext
from modules.engine.models import Loaded
from modules.engine.pace import Pace
from modules.engine.passes import Batch, drawn, drawn_again
from modules.engine.steps import DRAWING, Steps
from modules.engine.thrift import Thrift, with_thrift
from modules.imaging.metadata import png_bytes
from modules.prompts.infotext import write_infotext

SECOND_PASS = "Drawing the details"


@torch.inference_mode()
def run(request: ImageRequest, context: JobContext) -> None:
    """Draw and deliver the pictures of a request, batch by batch.

    Pictures that an earlier attempt delivered (`context.have`) are not sent again; a batch that lacks some is drawn as
    a whole, so that the missing ones come out as they would have then.
    Raises Cancelled within one step, and NotFinite, OutOfMemory, UnknownName, InvalidModelFile, InvalidImage, NoModel.
    """
    context.check()
    drawing = _prepared(request, context)
    batches = [batch for batch in _batches(request) if not context.have.issuperset(batch)]
    pace = Pace(drawing.steps, len(batches))
    with closing(Steps(context, drawing.first.loaded, pace, drawing.steps, request.batch_count)) as steps:
        for batch in batches:
            steps.begin(batch[0] // request.batch_size)
            try:
                drawing.draw(batch, steps)
            except Skipped:
                context.notes.append("A batch was skipped.")
            pace.end()


def _batches(request: ImageRequest) -> Iterator[range]:
    """The indices of each batch's pictures."""
    size = request.batch_size
    return (range(first, first + size) for first in range(0, request.images, size))


def _prepared(request: ImageRequest, context: JobContext) -> "Drawing":
    if request.seed < 0:
        raise InvalidRequest(Problem(field="seed", message=f"Seed is {request.seed}; it must be drawn before the job."))
    context.samplers.find(request.sampler)  # before a model is read, which takes seconds
    context.schedules.find(request.schedule)
    context.guidance.find(request.guidance)
    loaded = _loaded(_record(request.model, context), request, context)
    first = first_course(request, loaded, context)
    second = None
    if request.enable_hr and not isinstance(request, EditRequest):
        another = _record(request.hr_model, context) if request.hr_model else None
        second = second_course(request, first, _loaded(another, request, context) if another else loaded, context)
    ground = ground_of(request, context) if isinstance(request, EditRequest) else None
    return Drawing(request=request, context=context, first=first, second=second, ground=ground)


def _record(name: str, context: JobContext) -> ModelRecord | None:
    """The checkpoint that a field of the request names; the job's first one when it names none that is there."""
    models = context.job.models
    return next((one for one in models if name and one.title == name), models[0] if models else None)


def _loaded(record: ModelRecord | None, request: ImageRequest, context: JobContext) -> Loaded:
    fp8 = request.fp8
    if record is None or context.models.holds(record, fp8):
        return context.models.get(record, fp8)
    doing = f"Loading {record.title}"
    context.status.say(doing)
    context.report(step=0, steps=request.steps, batches=request.batch_count, doing=doing)
    loaded = context.models.get(record, fp8)
    context.status.say(DRAWING)
    context.check()
    return loaded


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One request, with everything looked up that its batches share."""

    request: ImageRequest
    context: JobContext
    first: Course
    second: Course | None = None
    ground: Ground | None = None
    delivered: set[int] = field(default_factory=set)

    @property
    def steps(self) -> int:
        """Of one batch, both passes together."""
        return self.first.steps + (self.second.steps if self.second else 0)

    @property
    def last(self) -> Loaded:
        """The model whose latents are decoded."""
        return (self.second or self.first).loaded

    def draw(self, batch: range, steps: Steps) -> None:
        """One batch, with as little memory as it takes."""
        self.delivered.update(self.context.have)

        def attempt(thrift: Thrift) -> None:
            for first in range(batch.start, batch.stop, thrift.together):
                part = range(first, min(first + thrift.together, batch.stop))
                if not self.delivered.issuperset(part):
                    self._draw(part, steps, thrift)

        alone = self.first.sampler.alone or (self.second is not None and self.second.sampler.alone)
        with_thrift(self.request, self.last.built.device, self.context.notes, attempt, alone)

    def _draw(self, indices: Sequence[int], steps: Steps, thrift: Thrift) -> None:
        """Noise, latents, pictures of some indices."""
        batch = Batch(
            request=self.request,
            context=self.context,
            indices=indices,
            on_step=steps,
            ground=self.ground,
            refiner=self._refiner if self.request.refiner_model else None,
            split=thrift.split,
            frugal=thrift.frugal,
        )
        steps.enter(0, DRAWING)
        latents = drawn(batch, self.first)
        if self.second:
            latents = drawn_again(batch, self.second, self._enlarged(batch, latents))
        steps.decoding()
        with with_vae(self.last, self.request, self.context):
            for index, latent in zip(indices, latents, strict=True):
                self.context.check()
                if index not in self.delivered:
                    self._deliver(index, decode(self.last.built, latent, self.context.notes))

    def _refiner(self) -> Loaded:
        return _loaded(_record(self.request.refiner_model, self.context), self.request, self.context)

    def _enlarged(self, batch: Batch, latents: Tensor) -> Tensor:
        """The first pass's latents at the size of the second pass; `batch.on_step` is told that it begins."""
        assert self.second is not None
        request, context = self.request, self.context
        built = self.second.loaded.built
        target = target_of(request, built.downscale)
        steps = batch.on_step
        assert isinstance(steps, Steps)
        steps.enter(self.first.steps, SECOND_PASS)
        if request.hr_upscaler in LATENT:
            return latents_enlarged(latents, request.hr_upscaler, target)
        return pictures_enlarged(latents, self.first.loaded.built, built, request, target, context)

    def _deliver(self, index: int, image: Image.Image) -> None:
        """Put an edit back where it belongs, let extensions change the picture, write its text into it, send it."""
        request, context = self.request, self.context
        if self.ground is not None:
            image = self.ground.of(index % request.batch_size).paste(image)
        image = context.plugins.pass_along("image_ready", image, request=request)
        prompt, negative = request.prompt_of(index), request.negative_of(index)
        text = write_infotext(prompt, negative, pairs_of(request, self.facts, index))
        picture = ImageReady(
            job=context.job.job,
            index=index,
            png=png_bytes(image, text),
            infotext=text,
            seed=seed_of(request, index),
            width=image.width,
            height=image.height,
            prompt=prompt,
            negative_prompt=negative,
        )
        context.send(picture)
        self.delivered.add(index)

    @cached_property
    def facts(self) -> Facts:
        """What the pictures' texts say beside the request."""
        request, context, first, second = self.request, self.context, self.first, self.second
        files = [one for one in context.job.files if one.path not in context.left_out]
        networks, embeddings = used_files(request, files)
        built = first.loaded.built
        return Facts(
            sampler=first.sampler.name,
            schedule=first.schedule,
            ensd_counts=first.sampler.ensd,
            takes=first.options | (second.options if second else frozenset()),
            record=first.loaded.record,
            refiner=_record(request.refiner_model, context) if request.refiner_model else None,
            hires_model=second.loaded.record if second and request.hr_model else None,
            hires_sampler=second.sampler.name if second else "",
            hires_schedule=second.schedule if second else "",
            vae=vae_file(request, self.last, context.job.files),
            networks=networks,
            embeddings=embeddings,
            edits_by_instruction=built.kind == "edit",
            inpainting_model=built.kind == "inpaint",
            masked=self.ground is not None and self.ground.masked,
        )
