"""Jobs, pictures and engines as JSON for our own routes (`/api/v1`)."""

from collections.abc import Container
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from modules.core.flags import Flags
from modules.core.wire import to_json
from modules.services.supervisor import EngineState
from modules.services.watch import Live
from modules.storage.records import Job, Picture

PLAIN_JOB = (
    "id",
    "number",
    "kind",
    "label",
    "state",
    "stop",
    "attempts",
    "images",
    "sentence",
    "detail",
    "note",
    "result",
)
SECRET = frozenset({"api_auth", "gradio_auth"})
TIMES = ("created", "started", "ended")


def job_view(job: Job) -> dict[str, Any]:
    """A job without what goes on in it."""
    return {name: getattr(job, name) for name in (*PLAIN_JOB, *TIMES)} | {"over": job.over}


def live_view(live: Live) -> dict[str, Any]:
    """A job as it is now. `preview` is the address of the newest preview, None while there is none."""
    address = f"/api/v1/jobs/{quote(live.job.id, safe='')}/preview.jpg?n={live.preview_number}"
    return job_view(live.job) | {
        "step": live.step,
        "steps": live.steps,
        "fraction": live.fraction,
        "eta": live.eta,
        "doing": live.doing,
        "ahead": live.ahead,
        "preview_number": live.preview_number,
        "preview": address if live.preview else None,
        "pictures": [picture_view(one) for one in live.pictures],
    }


def job_in_full(live: Live) -> dict[str, Any]:
    """The same with the request, for a page that wants to show it again."""
    request: dict[str, Any] = to_json(live.job.request)
    return live_view(live) | {"request": {name: value for name, value in request.items() if name != "is"}}


def picture_view(picture: Picture) -> dict[str, Any]:
    """A picture without its place on the disk."""
    shown = ("id", "job", "index", "seed", "width", "height", "infotext", "created", "kept", "bytes")
    return {name: getattr(picture, name) for name in shown} | {"url": picture_address(picture)}


def picture_address(picture: Picture) -> str:
    """Where its file is served."""
    return f"/api/v1/pictures/{picture.id}.png"


def engine_view(state: EngineState, mine: Container[str]) -> dict[str, Any]:
    """An engine; the id of its job, and what a training is called, only when that is among `mine`."""
    if not state.job or state.job in mine:
        return asdict(state)
    return asdict(state) | {"job": "", "doing": "Training" if state.role == "training" else state.doing}


def flags_view(flags: Flags) -> dict[str, Any]:
    """The command line, passwords left out."""
    return {one.name: _plain(one.name, getattr(flags, one.name)) for one in fields(flags)}


def _plain(name: str, value: Any) -> Any:
    if name in SECRET:
        return None
    return str(value) if isinstance(value, Path) else value
