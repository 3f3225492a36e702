"""Which noise levels are visited: by sampler, schedule and what a request says about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from modules.core.errors import InvalidRequest, Problem
from modules.core.extension_points import Sampler, Schedule
from modules.core.named import Names

NEARLY_ALL = 0.999  # the highest part of the steps that image to image does
LONGEST_SCHEDULE = 20_000


@dataclass(frozen=True, kw_only=True)
class LevelOptions:
    """What a request says about the levels; 0 leaves a value to schedule and model.

    `discard`: leave the last level but one out. `sdxl`: the model is of that family, for which some schedules have
    levels of its own.
    """

    sigma_min: float = 0.0
    sigma_max: float = 0.0
    rho: float = 0.0
    beta_alpha: float = 0.6
    beta_beta: float = 0.6
    discard: bool = False
    sdxl: bool = False

    def for_schedule(self, schedule: Schedule) -> dict[str, Any]:
        """The keyword arguments this schedule takes, where there is something to say."""
        known = {name: getattr(self, name) for name in schedule.options}
        return {name: value for name, value in known.items() if value}


PLAIN = LevelOptions()


def ends(table: Sequence[float], sigma_min: float, sigma_max: float) -> tuple[float, float]:
    """The lowest and the highest level of a schedule: those asked for, where 0 is the model's own.

    Raises InvalidRequest when the lowest is not below the highest.
    """
    low, high = sigma_min or table[0], sigma_max or table[-1]
    if low >= high:
        message = f"The schedule would begin at sigma {high:g} and end at {low:g}; it must fall."
        raise InvalidRequest(Problem(field="sigma_min" if sigma_min else "sigma_max", message=message))
    return low, high


def schedule_for(sampler: Sampler, name: str, schedules: Names[Schedule]) -> Schedule:
    """The schedule called `name`; Automatic is the sampler's own. Raises UnknownName."""
    chosen = schedules.find(name)
    return schedules.find(sampler.schedule) if chosen.key == "automatic" else chosen


def schedule_label(sampler: Sampler, name: str, schedules: Names[Schedule]) -> str:
    """The schedule as a picture's text names it: the one that had an effect, else "Automatic"."""
    if sampler.levels is not None:
        return "Automatic"
    schedule = schedule_for(sampler, name, schedules)
    sampler_has_none = schedule.name == "Uniform" and schedules.find(name).key == "automatic"
    return "Automatic" if sampler_has_none else schedule.name


def sigmas_for(
    sampler: Sampler,
    name: str,
    schedules: Names[Schedule],
    steps: int,
    table: Sequence[float],
    options: LevelOptions = PLAIN,
) -> list[float]:
    """The noise levels to visit, one more than there are steps. A sampler with levels of its own keeps to them.

    There may be more steps than asked for (DDIM); count them as len(sigmas) - 1.
    """
    if sampler.levels is not None:
        return sampler.levels(steps, table)
    schedule = schedule_for(sampler, name, schedules)
    discards = sampler.discards or options.discard
    known = sampler.table(table) if sampler.table else table
    sigmas = _falling(schedule.sigmas(steps + discards, known, **options.for_schedule(schedule)))
    return [*sigmas[:-2], sigmas[-1]] if discards else sigmas


def _falling(sigmas: Sequence[float]) -> list[float]:
    """Without levels that are not below the one before: a schedule may round two of very many steps to the same level."""
    return [*sigmas[:1], *(after for before, after in pairwise(sigmas) if after < before)]


def image_levels(
    sampler: Sampler,
    name: str,
    schedules: Names[Schedule],
    steps: int,
    table: Sequence[float],
    strength: float,
    exact: bool,
    options: LevelOptions = PLAIN,
) -> list[float]:
    """The last part of the levels, for work on a picture: `strength` 1 is about all of them, 0 is nearly nothing.

    exact: as many steps as asked for, of a schedule that is as much longer; otherwise one more than strength * steps.
    Empty when there is nothing to do (exact, strength 0).
    """
    asked, taken = _asked_and_taken(steps, min(strength, NEARLY_ALL), exact)
    if asked == 0:
        return []
    if sampler.levels is not None:
        return sampler.levels(asked, table, last=max(1, taken))
    sigmas = sigmas_for(sampler, name, schedules, asked, table, options)
    last = sigmas[-(taken + 2) :]
    return last if exact else sigmas[asked - taken - 1 :] or last  # DDIM's schedule may have more levels than asked for


def _asked_and_taken(steps: int, strength: float, exact: bool) -> tuple[int, int]:
    """(steps of the whole schedule, steps of it to take; samplers without levels of their own take one more)."""
    if not exact:
        return steps, int(strength * steps)
    if strength <= 0:
        return 0, 0
    return min(int(steps / strength), LONGEST_SCHEDULE), steps - 1
