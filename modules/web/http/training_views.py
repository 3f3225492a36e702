"""Trainings as JSON for `/api/v1/training`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from modules.core.wire import to_json
from modules.services.studio import Studio
from modules.services.training.class_pictures import ClassSet
from modules.services.training.run_folder import Shots
from modules.services.training.runs import Run
from modules.services.watch import Live
from modules.web.http.views import job_view

BASE = "/api/v1/training"
MOST_PICTURES = 200  # of those trained on that a view lists
OF_SERVER = ("files", "claimed")  # of status.json: with paths of the server; files are told without them
OF_PLAN = ("name", "method", "model", "class_noun", "identifier", "instance_prompt", "preset", "group", "arm", "dry")


def run_view(studio: Studio, run: Run) -> dict[str, Any]:
    """A training as it is now. `eta`: seconds, null while unknown; `doing`: a sentence."""
    live = studio.watch.live(run.job.id)
    return {
        "run": run.id,
        "state": run.state,
        "over": run.over,
        **{name: getattr(run.plan, name) for name in OF_PLAN},
        **_progress(run, live),
        "created": run.first.created,
        "started": run.job.started,
        "ended": run.job.ended,
        "sentence": run.job.sentence or (str(run.status.get("sentence", "")) if run.job.over else ""),
        "detail": run.job.detail,
        "note": run.job.note,
        "job": job_view(run.job),
        "evaluating": _evaluating(studio, run),
        "plan": plan_fields(run),
        "status": {name: value for name, value in run.status.items() if name not in OF_SERVER},
        "numbers": run.folder.last(),
        "measure": run.folder.table("measure.json") or None,
        "base": {name: value for name, value in run.folder.table("model.json").items() if name != "path"} or None,
        "evaluation": run.folder.table("evaluation.json") or None,
        "pictures": _pictures(run),
        "previews": [preview_view(run.id, one) for one in run.folder.previews()],
        "snapshots": [_snapshot(run.id, one) for one in run.folder.snapshots()],
        "files": _files(run),
    }


def plan_fields(run: Run) -> dict[str, Any]:
    """What was asked for, as a new training would be sent."""
    return {name: value for name, value in to_json(run.plan).items() if name not in ("is", "run", "save")}


def preview_view(run: str, shots: Shots) -> dict[str, Any]:
    """The pictures of one moment."""
    return {"step": shots.step, "pictures": [address(run, file) for file in shots.files]}


def address(run: str, file: str) -> str:
    """Where a file of a run's folder is served."""
    return f"{BASE}/{run}/files/{quote(file)}"


def class_set_view(one: ClassSet) -> dict[str, Any]:
    """A set of class pictures."""
    base = f"{BASE}/class-pictures/{quote(one.key)}"
    return {
        "key": one.key,
        "prompt": one.prompt,
        "model": one.about.get("model", ""),
        "about": one.about,
        "count": len(one.seeds),
        "bytes": one.bytes,
        "pictures": [{"seed": seed, "url": f"{base}/{seed}.png"} for seed in one.seeds],
    }


def _progress(run: Run, live: Live) -> dict[str, Any]:
    step, steps = run.status.get("step", 0), run.status.get("steps", run.plan.max_train_steps)
    doing = live.doing or ("" if run.job.over else str(run.status.get("doing", "")))
    fraction = live.fraction or (step / steps if isinstance(step, int) and steps else 0.0)
    return {
        "step": step,
        "steps": steps,
        "doing": doing,
        "fraction": min(1.0, fraction),
        "eta": live.eta,
        "ahead": live.ahead,
        "preview_number": live.preview_number,
        "preview": f"/api/v1/jobs/{run.job.id}/preview.jpg?n={live.preview_number}" if live.preview else None,
    }


def _evaluating(studio: Studio, run: Run) -> dict[str, Any] | None:
    if run.evaluation is None:
        return None
    live = studio.watch.live(run.evaluation.id)
    known = {"doing": live.doing, "fraction": live.fraction, "eta": live.eta, "ahead": live.ahead}
    return job_view(run.evaluation) | {"step": live.step, "steps": live.steps} | known


def _pictures(run: Run) -> list[dict[str, Any]]:
    known = run.folder.pictures()[:MOST_PICTURES]
    return [one | {"url": address(run.id, _below("pictures", str(one["file"])))} for one in known]


def _below(folder: str, file: str) -> str:
    return file if file.startswith(f"{folder}/") else f"{folder}/{file}"


def _snapshot(run: str, shots: Shots) -> dict[str, Any]:
    return {"step": shots.step, "files": [file.rpartition("/")[2] for file in shots.files]}


def _files(run: Run) -> list[dict[str, Any]]:
    """The results: where they lie is told by their names among the models, not by paths of the server."""
    every: Iterable[Any] = run.status.get("files") or ()
    return [_file(run, one, Path(str(one["path"]))) for one in every if isinstance(one, dict) and "path" in one]


def _file(run: Run, told: dict[str, Any], path: Path) -> dict[str, Any]:
    """`file`: its name with its ending; `url`: to take it along, null for a folder."""
    url = None if path.is_dir() else f"{BASE}/{run.id}/results/{quote(path.name, safe='')}"
    return {key: value for key, value in told.items() if key != "path"} | {"file": path.name, "url": url}
