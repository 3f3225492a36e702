"""`/sdapi/v1/progress`: how far the server is, as clients of the field poll it."""

import base64
import time
from typing import Any

from fastapi import APIRouter

from modules.core.extension_points import Routes, hookimpl
from modules.core.requests import EditRequest, ImageRequest
from modules.services.studio import Studio
from modules.services.watch import Live
from modules.storage.records import Job
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
        return _busy((mine or running)[0], shows=bool(mine) and not skip_current_image)

    return router


def _idle() -> dict[str, Any]:
    return _answer(0.0, 0.0, _state("", 0, 0, 0, 0, "0"), None, None)


def parts_of(job: Job) -> int:
    """How many batches a job has; a second pass counts as one more of each."""
    request = job.request
    if not isinstance(request, ImageRequest):
        return 1
    second = request.enable_hr and not isinstance(request, EditRequest)
    return request.batch_count * (2 if second else 1)


def _busy(live: Live, shows: bool) -> dict[str, Any]:
    job, count = live.job, parts_of(live.job)
    number = min(count - 1, int(live.fraction * count + 1e-6))
    done = min(1.0, STARTED + live.fraction)
    elapsed = max(0.0, time.time() - (job.started or job.created))
    left = elapsed / done - elapsed if live.eta is None else live.eta
    state = _state(NAMES.get(job.kind, job.kind), count, number, live.step, live.steps, timestamp(job.started))
    state |= {"interrupted": bool(job.stop), "stopping_generation": bool(job.stop)}
    image = base64.b64encode(live.preview).decode() if shows and live.preview else None
    return _answer(done, left, state, image, live.doing or None)


def _state(job: str, count: int, number: int, step: int, steps: int, moment: str) -> dict[str, Any]:
    return {
        "skipped": False,
        "interrupted": False,
        "stopping_generation": False,
        "job": job,
        "job_count": count,
        "job_timestamp": moment,
        "job_no": number,
        "sampling_step": step,
        "sampling_steps": steps,
    }


def _answer(done: float, left: float, state: dict[str, Any], image: str | None, text: str | None) -> dict[str, Any]:
    return {"progress": done, "eta_relative": left, "state": state, "current_image": image, "textinfo": text}
