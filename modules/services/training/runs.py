"""Trainings as people see them: runs, made of jobs of the queue and of what the trainer writes into their folders.

A run has the id of its first job. It is gone on with by a further job, whose plan names the run; it is its owner's alone.
"""

import json
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modules.core.errors import InvalidRequest, NotFound, Problem
from modules.core.files import write_atomically
from modules.core.places import Places
from modules.core.training import TRAINER_KINDS, WISHES, EvaluationRequest, TrainingPlan
from modules.services.cards import Cards
from modules.services.cards_trash import Trash
from modules.services.desk import Desk
from modules.services.engines import Engines
from modules.services.queue import MOST_WAITING, Queue
from modules.services.training.class_pictures import ClassPictures
from modules.services.training.publish import published
from modules.services.training.run_folder import REMOVED, RunFolder, removed_runs
from modules.storage.records import Job

DAY = 24 * 3600.0
WORKING = ("preparing", "class pictures", "training", "saving", "evaluating")  # states in status.json of a run at work


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training. `first`: the job it began with; `job`: the newest, which says how it is; `evaluation`: being measured.

    `state`: waiting, preparing, class pictures, training, saving, evaluating, done, stopped, paused or failed.
    """

    id: str
    plan: TrainingPlan
    first: Job
    job: Job
    evaluation: Job | None
    folder: RunFolder
    status: Mapping[str, Any]
    state: str

    @property
    def over(self) -> bool:
        """Whether nothing happens to it unless somebody asks for it."""
        return self.job.over and self.evaluation is None


class Trainings:
    """All runs. Safe from any thread. An `owner` who is given sees and changes their own runs only; others raise NotFound."""

    def __init__(self, queue: Queue, desk: Desk, engines: Engines, cards: Cards, places: Places) -> None:
        self._queue, self._desk, self._engines, self._cards = queue, desk, engines, cards
        self._places, self._root = places, places.training
        self._trash = Trash(places.cache / "training-trash.json")
        self._lock = threading.RLock()
        self._jobs: dict[str, dict[str, Job]] = {}  # by run: its jobs by id, first accepted first
        self.class_pictures = ClassPictures(self._root)
        for job in reversed(queue.jobs(kinds=TRAINER_KINDS, limit=MOST_WAITING)):
            self._keep(job)
        queue.subscribe(self._keep)

    # -- looking -----------------------------------------------------------------------------------------------------

    def every(self, owner: str | None = None, limit: int = 100, before: str = "") -> tuple[Run, ...]:
        """Runs from the newest to the oldest, measurements left out; `before`: the run at which the last page ended."""
        with self._lock:
            known = [(run, [*jobs.values()]) for run, jobs in reversed(self._jobs.items())]
            removed = removed_runs(self._root)
        ids = [run for run, jobs in known if run not in removed and _is_listed(run, jobs, owner)]
        start = ids.index(before) + 1 if before in ids else 0
        return tuple(self._run(run) for run in ids[start : start + limit])

    def one(self, run: str, owner: str | None = None) -> Run:
        """A run as it is now. Raises NotFound."""
        with self._lock:
            first = self._jobs.get(run, {}).get(run)
        if first is None or (owner is not None and first.owner != owner) or run in removed_runs(self._root):
            raise NotFound(f"there is no training {run[:80]!r}")
        return self._run(run)

    def class_prompts(self, owner: str) -> set[str] | None:
        """Which class pictures somebody may see: those of their own trainings' prompts; None: all."""
        if not owner:
            return None
        with self._lock:
            jobs = [job for jobs in self._jobs.values() for job in jobs.values() if job.owner == owner]
        return {job.request.class_prompt for job in jobs if isinstance(job.request, TrainingPlan)}

    # -- beginning and going on --------------------------------------------------------------------------------------

    def begin(self, plan: TrainingPlan, owner: str = "") -> Run:
        """Queue a training. Raises what the desk raises."""
        self._forget_measurements()
        return self._run(self._desk.submit(replace(plan, run=""), owner=owner).id)

    def resume(self, run: str, owner: str | None = None) -> Run:
        """Go on where a training was paused, stopped or failed. Raises InvalidRequest when it cannot."""
        known = self.one(run, owner)
        if not known.job.over:
            raise _refusal("This training is not over; there is nothing to resume.")
        if known.state == "done" or known.plan.dry:
            raise _refusal("This training is done; start it again, with more steps if you like.")
        self._desk.submit(replace(known.plan, run=run), owner=known.first.owner)
        return self._run(run)

    def again(self, run: str, owner: str | None = None, seed: int | None = None) -> Run:
        """The same training as a new run, with the same seed unless another is given (-1: drawn)."""
        known = self.one(run, owner)
        plan = replace(known.plan, run="", dry=False, group="", arm="")
        return self.begin(replace(plan, seed=plan.seed if seed is None else seed), known.first.owner)

    def evaluate(self, request: EvaluationRequest, owner: str | None = None) -> Run:
        """Measure a run's result, beside whatever else waits."""
        known = self.one(request.run, owner)
        if not known.over:
            raise _refusal("This training is still at work; measure it when it has ended.")
        self._desk.submit(request, owner=known.first.owner)
        return self._run(known.id)

    # -- while it runs -----------------------------------------------------------------------------------------------

    def steer(self, run: str, wish: str, owner: str | None = None) -> Run:
        """Ask for a picture now, a snapshot now, or to end here with its results. Raises InvalidRequest when it rests."""
        assert wish in WISHES, wish
        known = self.one(run, owner)
        if known.job.state != "running":
            raise _refusal("This training does not run now, so it cannot do that; resume it first.")
        self._engines.steer(known.job.id, wish)
        return known

    def pause(self, run: str, owner: str | None = None) -> Run:
        """Stop within one step, with all that is needed to go on later; one that waits is taken out."""
        known = self._at_work(run, owner)
        if known.job.over:
            raise _refusal("An evaluation cannot be paused; stop it, and ask for it again later.")
        self._engines.interrupt(known.job.id)
        return self._run(run)

    def stop(self, run: str, owner: str | None = None) -> Run:
        """End a training or its evaluation; what has been saved stays."""
        known = self._at_work(run, owner)
        self._queue.cancel((known.evaluation or known.job).id)
        return self._run(run)

    # -- afterwards --------------------------------------------------------------------------------------------------

    def publish(self, run: str, step: int, name: str = "", owner: str | None = None) -> list[dict[str, str]]:
        """Make a snapshot a result: a file among the networks or checkpoints. Answers kind and name of each."""
        known = self.one(run, owner)
        files = published(known.folder, known.plan, step, name, self._places)
        self._cards.refresh()
        return files

    def result(self, run: str, name: str, owner: str | None = None) -> Path:
        """A file that the training made, by its name with its ending. Raises NotFound when it is not where it was put any more."""
        files = self.one(run, owner).status.get("files") or ()
        paths = [Path(str(one["path"])) for one in files if isinstance(one, dict) and "path" in one]
        places = self._places
        roots = [places.models, *places.folders("lora"), *places.folders("embedding"), *places.checkpoint_folders]
        for path in paths:
            if (
                path.name == name
                and path.is_file()
                and any(path.resolve().is_relative_to(root.resolve()) for root in roots)
            ):
                return path
        raise NotFound(f"there is no file {name[:80]!r} any more")

    def remove(self, run: str, owner: str | None = None) -> str:
        """Delete a run with its folder, not the networks it made; answers what `restore` asks for."""
        known = self.one(run, owner)
        if not known.over:
            raise _refusal("This training is still at work; stop it before you delete it.")
        self._trash.sweep()
        with self._lock:
            token = self._trash.put(known.folder.path)
            self._write_removed({**removed_runs(self._root), run: token})
        return token

    def restore(self, token: str) -> Run:
        """Bring a deleted run back. Raises NotFound when it is gone for good."""
        with self._lock:
            removed = removed_runs(self._root)
            run = next((run for run, its in removed.items() if its == token), None)
            if run is None:
                raise NotFound("this training is not in the trash any more")
            self._trash.restore(token)
            self._write_removed({other: its for other, its in removed.items() if other != run})
        return self._run(run)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _keep(self, job: Job) -> None:
        """Remember a job of a training. News of it come from several threads, the end perhaps not last."""
        request = job.request
        if isinstance(request, TrainingPlan | EvaluationRequest):
            with self._lock:
                jobs = self._jobs.setdefault(request.run or job.id, {})
                if not (job.id in jobs and jobs[job.id].over):
                    jobs[job.id] = job

    def _jobs_of(self, run: str) -> list[Job]:
        """As they are now; what is over does not change."""
        with self._lock:
            jobs = [*self._jobs[run].values()]
        return [job if job.over else self._queue.job(job.id) for job in jobs]

    def _forget_measurements(self) -> None:
        """Their folders, a day after: nobody lists them."""
        with self._lock:
            every = [job for jobs in self._jobs.values() for job in jobs.values()]
        for job in every:
            old = job.ended is not None and time.time() - job.ended > DAY
            if old and isinstance(job.request, TrainingPlan) and job.request.dry:
                shutil.rmtree(self._root / job.id, ignore_errors=True)

    def _at_work(self, run: str, owner: str | None) -> Run:
        known = self.one(run, owner)
        if known.over:
            raise _refusal("This training is over already.")
        return known

    def _run(self, run: str) -> Run:
        jobs = self._jobs_of(run)
        trained = [job for job in jobs if isinstance(job.request, TrainingPlan)]
        measured = [job for job in jobs if isinstance(job.request, EvaluationRequest) and not job.over]
        first, job = trained[0], trained[-1]
        assert isinstance(first.request, TrainingPlan)
        folder = RunFolder(self._root, run)
        status = folder.table("status.json")
        return Run(
            id=run,
            plan=first.request,
            first=first,
            job=job,
            evaluation=measured[-1] if measured else None,
            folder=folder,
            status=status,
            state=_state(job, str(status.get("state", ""))),
        )

    def _write_removed(self, removed: Mapping[str, str]) -> None:
        write_atomically(self._root / REMOVED, json.dumps(removed).encode())


def _is_listed(run: str, jobs: list[Job], owner: str | None) -> bool:
    first = next((job for job in jobs if job.id == run), None)
    if first is None or not isinstance(first.request, TrainingPlan) or first.request.dry:
        return False
    return owner is None or first.owner == owner


def _state(job: Job, written: str) -> str:
    """One word: the job knows best whether it waits, runs or has ended, the trainer what it does meanwhile."""
    if job.state == "running":
        return written if written in WORKING else "preparing"
    if job.state == "done":
        return written if written in ("done", "stopped") else "done"
    return {"interrupted": "paused", "cancelled": "stopped"}.get(job.state, job.state)


def _refusal(sentence: str) -> InvalidRequest:
    return InvalidRequest(Problem(field="run", message=sentence))
