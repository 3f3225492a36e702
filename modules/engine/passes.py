"""The passes over a batch's latents: the first, the one after enlarging, and a refiner that takes over in between."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from modules.core.extension_points import Denoise, OnStep
from modules.core.requests import EditRequest, ImageRequest
from modules.diffusion.attention.ways import attention
from modules.diffusion.compiling import compiled
from modules.diffusion.denoiser import denoiser_for
from modules.diffusion.guided import Conditions, Guided, Rules
from modules.diffusion.noise import Noise
from modules.diffusion.relay import Relay
from modules.diffusion.sample import SamplingPlan, SoftMask, image_to_image, masked, text_to_image
from modules.engine.courses import Course, sampling_options, steps_before
from modules.engine.edits import Ground, latent_mask, seen_by_editing, seen_by_inpainting, start_latents, with_content
from modules.engine.embeddings import EmbeddingFiles
from modules.engine.equipped import equipped
from modules.engine.job import JobContext
from modules.engine.models import Loaded
from modules.engine.networks import Named, key_of, named_in
from modules.engine.reading import Reading

SUB_QUADRATIC = "sub-quadratic"
IMAGE_SCALE = 1.5  # for a model that edits by instruction when it draws from text alone


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some pictures of a request that are drawn at the same time. `indices`: which of all; `places`: which of their batch."""

    request: ImageRequest
    context: JobContext
    indices: Sequence[int]
    on_step: OnStep
    ground: Ground | None = None
    refiner: Callable[[], Loaded] | None = None
    split: bool = False  # one picture's text at a time: less memory
    frugal: bool = False  # attention in pieces: still less

    @property
    def places(self) -> list[int]:
        """Which of its batch each picture is."""
        return [index % self.request.batch_size for index in self.indices]

    def noise(self, course: Course) -> Noise:
        """Fresh noise of the pictures' seeds at the size of a pass."""
        request, built = self.request, course.loaded.built
        varied = request.subseed_strength > 0
        sizes = request.seed_resize_from_h // built.downscale, request.seed_resize_from_w // built.downscale
        return Noise(
            [request.seed if varied else request.seed + index for index in self.indices],
            built.latent_shape(course.width, course.height),
            request.noise_source,
            built.device,
            subseeds=[request.subseed + index for index in self.indices] if varied else (),
            strength=request.subseed_strength,
            resize_from=sizes if all(sizes) else None,
            ensd=request.ensd,
        )


def drawn(batch: Batch, course: Course) -> Tensor:
    """The first pass: latents (b, c, h, w), float32."""
    prompts = [batch.request.prompt_of(index) for index in batch.indices]
    negatives = [batch.request.negative_of(index) for index in batch.indices]
    with _Pass(batch, course, prompts, negatives) as ready:
        if batch.ground is None:
            return text_to_image(ready.plan)
        return _edited(batch, course, ready.plan)


def drawn_again(batch: Batch, course: Course, latents: Tensor) -> Tensor:
    """The second pass over enlarged latents."""
    prompts = [batch.request.hires_prompt_of(index) for index in batch.indices]
    negatives = [batch.request.hires_negative_of(index) for index in batch.indices]
    with _Pass(batch, course, prompts, negatives) as ready:
        return image_to_image(ready.plan, latents)


def _edited(batch: Batch, course: Course, plan: SamplingPlan) -> Tensor:
    request, ground, built = batch.request, batch.ground, course.loaded.built
    assert isinstance(request, EditRequest)
    assert ground is not None
    shape = built.latent_shape(course.width, course.height)
    start = start_latents(ground, batch.places, built, shape, batch.context.notes)
    original, mask = start, None
    if ground.masked:
        mask = latent_mask(ground, batch.places, built, shape)
        start = original = with_content(request, start, mask, batch.noise(course))
        plan = masked(plan, original, mask, soft=_soft(request))
    return image_to_image(
        plan, start, noise_multiplier=request.initial_noise_multiplier, extra_noise=request.extra_noise
    )


def _soft(request: EditRequest) -> SoftMask | None:
    if not request.soft_inpainting:
        return None
    return SoftMask(power=request.soft_power, scale=request.soft_scale, detail=request.soft_detail)


class _Pass:
    """A block inside which a plan can be sampled: models equipped, texts read."""

    def __init__(self, batch: Batch, course: Course, prompts: Sequence[str], negatives: Sequence[str]) -> None:
        self._batch, self._course, self._prompts, self._negatives = batch, course, prompts, negatives
        self._blocks = ExitStack()
        self.plan: SamplingPlan

    def __enter__(self) -> "_Pass":
        with ExitStack() as blocks:
            self._networks = self._named()
            denoise = self._denoise(blocks, self._course.loaded, 0)
            if self._batch.refiner is not None:
                denoise = self._relay(denoise, self._batch.refiner)
            self.plan = self._planned(denoise)
            self._blocks = blocks.pop_all()
        return self

    def __exit__(self, *failure: object) -> None:
        self._blocks.close()

    def _named(self) -> tuple[Named, ...]:
        """The first prompt of a batch decides which networks are active."""
        if self._batch.request.disable_extra_networks:
            return ()
        return named_in(self._prompts[0], self._batch.context)

    def _planned(self, denoise: Denoise) -> SamplingPlan:
        request, course = self._batch.request, self._course
        return SamplingPlan(
            denoise=denoise,
            sampler=course.sampler,
            sigmas=course.sigmas,
            noise=self._batch.noise(course),
            on_step=self._batch.on_step,
            options=sampling_options(request, course),
            sgm_noise=request.sgm_noise,
        )

    def _relay(self, first: Denoise, refiner: Callable[[], Loaded]) -> Denoise:
        """The first model until the refiner's part of the way begins, then the refiner."""
        course = self._course
        after = course.sampler.order * steps_before(course, self._batch.request)
        if after >= course.steps * course.sampler.order:
            return first
        return Relay(first, lambda: self._denoise(self._blocks, refiner(), after), after)

    def _denoise(self, blocks: ExitStack, loaded: Loaded, calls_done: int) -> Denoise:
        """A model with this batch's texts and guidance."""
        batch, course, request = self._batch, self._course, self._batch.request
        ratio = request.token_merging_ratio_hr if course.first else request.token_merging_ratio
        blocks.enter_context(equipped(loaded, request, self._networks, ratio, batch.context))
        built = loaded.built
        if batch.frugal or batch.context.models.attention == SUB_QUADRATIC:
            blocks.enter_context(attention(SUB_QUADRATIC, built.unet, built.vae))
        if batch.context.models.compiled:
            blocks.enter_context(compiled(built.unet))
        denoiser = denoiser_for(built.prediction, built.predict, course.table, built.dtype)
        calls = course.steps * course.sampler.order
        return Guided(denoiser, self._conditions(loaded), self._rules(loaded), calls, calls_done=calls_done)

    def _conditions(self, loaded: Loaded) -> Conditions:
        batch, course, request = self._batch, self._course, self._batch.request
        reading = self._reading(loaded)
        built, shape = loaded.built, loaded.built.latent_shape(course.width, course.height)
        ground = None if course.first else batch.ground
        more: dict[str, Any] = {}
        if built.kind == "inpaint":
            weight = request.inpainting_mask_weight if isinstance(request, EditRequest) else 1.0
            more["concat"] = seen_by_inpainting(built, ground, batch.places, shape, weight, batch.context.notes)
        if built.kind == "edit":
            more["image"] = seen_by_editing(built, ground, batch.places, shape)
        return Conditions(
            positive=tuple(reading.positive(one) for one in self._prompts),
            negative=tuple(reading.negative(one) for one in self._negatives),
            **more,
        )

    def _reading(self, loaded: Loaded) -> Reading:
        course, context = self._course, self._batch.context
        return Reading(
            loaded=loaded,
            request=self._batch.request,
            embeddings=EmbeddingFiles(context.job.files, context.notes, context.left_out),
            calls=course.calls,
            first_calls=course.first.calls if course.first else None,
            width=course.width,
            height=course.height,
            networks=key_of(self._networks),
        )

    def _rules(self, loaded: Loaded) -> Rules:
        request = self._batch.request
        return Rules(
            guidance=self._batch.context.guidance.find(request.guidance),
            scale=request.cfg_scale,
            image_scale=request.image_cfg_scale if isinstance(request, EditRequest) else IMAGE_SCALE,
            guidance_rescale=request.guidance_rescale,
            threshold_percentile=request.threshold_percentile,
            cfg_start=request.cfg_start,
            cfg_end=request.cfg_end,
            skip_early=request.skip_early_cond,
            s_min_uncond=request.s_min_uncond,
            ngms_all_steps=request.ngms_all_steps,
            pad=self._reading(loaded).text("") if request.pad_conds else None,
            split=self._batch.split,
        )
