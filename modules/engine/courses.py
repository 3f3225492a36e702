"""What a request means for the sampler: one course for each pass over the latents, with everything looked up."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modules.core.extension_points import Sampler
from modules.core.requests import EditRequest, ImageRequest
from modules.diffusion.denoiser import timestep_at, zero_terminal_snr
from modules.diffusion.sample import LevelOptions, image_levels, schedule_for, schedule_label, sigmas_for
from modules.engine.job import JobContext
from modules.engine.models import Loaded

ZERO_SNR = "Zero Terminal SNR"


@dataclass(frozen=True, kw_only=True)
class Course:
    """One pass. `sigmas`: the noise levels of its steps. `width`, `height`: what it draws, in pixels.

    `schedule`: as a picture's text names it. `options`: what sampler and schedule listen to. `asked`: steps that prompts count by (an edit may take fewer).
    `first`: the course before, when this is the second pass.
    """

    loaded: Loaded
    sampler: Sampler
    schedule: str
    sigmas: list[float]
    table: tuple[float, ...]
    asked: int
    width: int
    height: int
    options: frozenset[str] = frozenset()
    first: "Course | None" = None

    @property
    def steps(self) -> int:
        """How many there really are; DDIM may take more than were asked for, an edit fewer."""
        return max(0, len(self.sigmas) - 1)

    @property
    def calls(self) -> int:
        """Denoiser calls, by which prompts count their steps."""
        return self.asked * self.sampler.order


def first_course(request: ImageRequest, loaded: Loaded, context: JobContext) -> Course:
    """The pass that every request has. Raises UnknownName."""
    sampler = context.samplers.find(request.sampler)
    table = _table(request, loaded)
    known = (sampler, request.schedule, context.schedules, request.steps, table)
    options = _levels(request, loaded)
    if isinstance(request, EditRequest):
        sigmas = image_levels(*known, request.denoising_strength, request.exact_steps, options)
    else:
        sigmas = sigmas_for(*known, options)
    return Course(
        loaded=loaded,
        sampler=sampler,
        schedule=schedule_label(sampler, request.schedule, context.schedules),
        sigmas=sigmas,
        table=table,
        asked=request.steps,
        width=request.width,
        height=request.height,
        options=_heard(sampler, request.schedule, context),
    )


def second_course(request: ImageRequest, first: Course, loaded: Loaded, context: JobContext) -> Course:
    """The pass at the larger size. Raises UnknownName."""
    sampler = context.samplers.find(request.hr_sampler or request.sampler)
    schedule = request.hr_schedule or request.schedule
    steps = request.hr_steps or request.steps
    table = _table(request, loaded)
    width, height = request.hires_size
    known = (sampler, schedule, context.schedules, steps, table)
    sigmas = image_levels(*known, request.denoising_strength, True, _levels(request, loaded))
    return Course(
        loaded=loaded,
        sampler=sampler,
        schedule=schedule_label(sampler, schedule, context.schedules),
        sigmas=sigmas,
        table=table,
        asked=steps,
        width=width // loaded.built.downscale * loaded.built.downscale,
        height=height // loaded.built.downscale * loaded.built.downscale,
        options=_heard(sampler, schedule, context),
        first=first,
    )


def sampling_options(request: ImageRequest, course: Course) -> Mapping[str, Any]:
    """What samplers may ask for by name; None leaves it to them."""
    names = ("eta", "s_churn", "s_tmin", "s_tmax", "s_noise", "unipc_order")
    return {name: getattr(request, name) for name in names} | {"table": course.table}


def steps_before(course: Course, request: ImageRequest) -> int:
    """How many steps are done before the refiner takes over: by the noise that is left (Podell et al. 2023, §2.5), or by steps."""
    part = request.refiner_switch_at
    if request.refiner_by_steps:
        return math.ceil(part * course.steps)
    last = len(course.table) - 1
    timesteps = [timestep_at(sigma, course.table) for sigma in course.sigmas[:-1]]
    return sum(timestep >= (1 - part) * last for timestep in timesteps)


def _table(request: ImageRequest, loaded: Loaded) -> tuple[float, ...]:
    sigmas = loaded.built.sigmas
    return tuple(zero_terminal_snr(sigmas)) if request.noise_schedule == ZERO_SNR else sigmas


def _levels(request: ImageRequest, loaded: Loaded) -> LevelOptions:
    return LevelOptions(
        sigma_min=request.sigma_min,
        sigma_max=request.sigma_max,
        rho=request.rho,
        beta_alpha=request.beta_alpha,
        beta_beta=request.beta_beta,
        discard=request.discard_penultimate,
        sdxl=loaded.built.sizes is not None,
    )


def _heard(sampler: Sampler, schedule: str, context: JobContext) -> frozenset[str]:
    """The names of all options that sampler and schedule listen to."""
    if sampler.levels is not None:
        return frozenset(sampler.options)
    return frozenset((*sampler.options, *schedule_for(sampler, schedule, context.schedules).options))
