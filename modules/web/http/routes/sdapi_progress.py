"""`/sdapi/v1/progress`: how far the server is, as clients of the field poll it."""

import base64
import time
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter

from modules.core.extension_points import Routes, hookimpl
from modules.core.requests import EditRequest, ImageRequest
from modules.services.studio import Studio
from modules.services.watch import Live
from modules.web.http.limits import new_router
from modules.web.http.people import Owner
from modules.web.http.sdapi_answer import timestamp

NAMES = {"image": "scripts_txt2img", "edit": "scripts_img2img", "upscale": "extras"}  # kinds of jobs as the field says
STARTED = 0.01  # progress of a job that has just begun: clients take 0 for idle


@hookimpl
def register_routes() -> list[Routes]:
    """With --api or --nowebui."""
    return [Routes(name="sdapi progress", build=build, api=True)]


def build(studio: Studio) -> APIRouter:
    """The route."""
    router = new_router("/sdapi/v1")

    @router.get("/progress")
    def progress(owner: Owner, skip_current_image: bool = False) -> dict[str, Any]:
        """One's own running job; of somebody else's only that there is one and how far it is."""
        running = studio.watch.running()
        mine = [live for live in running if live.job.owner == owner]
        if not running:
            return _idle()
        live = (mine or running)[0]
        if not mine:
            live = replace(live, preview=None, doing="")
        return _busy(live, shows=not skip_current_image)

    return router


def _idle() -> dict[str, Any]:
    return _answer(0.0, 0.0, _state("", Place(0, 0, 0, 0), "0"), None, None)


@dataclass(frozen=True)
class Place:
    """Where a job is, as the field counts: pass `number` of `count`, and `step` of `steps` in it."""

    count: int
    number: int
    step: int
    steps: int


def place_of(live: Live) -> Place:
    """Each batch is a pass, and where there is a second pass at a larger size, two."""
    request = live.job.request
    if not isinstance(request, ImageRequest):
        return Place(1, 0, live.step, live.steps)
    batches = request.batch_count
    done = live.step / live.steps if live.steps else 0.0
    batch = max(0, min(batches - 1, round(live.fraction * batches - done)))
    if not request.enable_hr or isinstance(request, EditRequest):
        return Place(batches, batch, live.step, live.steps)
    first = min(request.steps, live.steps)
    if live.step <= first:
        return Place(2 * batches, 2 * batch, live.step, first)
    return Place(2 * batches, 2 * batch + 1, live.step - first, live.steps - first)


def _busy(live: Live, shows: bool) -> dict[str, Any]:
    job = live.job
    done = min(1.0, STARTED + live.fraction)
    elapsed = max(0.0, time.time() - (job.started or job.created))
    left = elapsed / done - elapsed if live.eta is None else live.eta
    state = _state(NAMES.get(job.kind, job.kind), place_of(live), timestamp(job.started))
    state |= {"interrupted": bool(job.stop), "stopping_generation": bool(job.stop)}
    image = base64.b64encode(live.preview).decode() if shows and live.preview else None
    return _answer(done, left, state, image, live.doing or None)


def _state(job: str, place: Place, moment: str) -> dict[str, Any]:
    return {
        "skipped": False,
        "interrupted": False,
        "stopping_generation": False,
        "job": job,
        "job_count": place.count,
        "job_timestamp": moment,
        "job_no": place.number,
        "sampling_step": place.step,
        "sampling_steps": place.steps,
    }


def _answer(done: float, left: float, state: dict[str, Any], image: str | None, text: str | None) -> dict[str, Any]:
    return {"progress": done, "eta_relative": left, "state": state, "current_image": image, "textinfo": text}
