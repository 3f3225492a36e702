"""`/api/v1/training`: start a training, watch it, pause, stop and resume it, and what it made."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, Field
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import FileResponse, Response

from modules.core.extension_points import Routes, hookimpl
from modules.core.training import EvaluationRequest
from modules.services.studio import Studio
from modules.services.training.log import numbers
from modules.services.training.run_folder import RUN
from modules.web.http.limits import new_router
from modules.web.http.people import Client, Owner
from modules.web.http.streams import EventStream, OpenStreams
from modules.web.http.training_body import PlanBody, plan_of
from modules.web.http.training_news import training_news
from modules.web.http.training_views import run_view

MOST_LISTED = 200
CACHED = {"Cache-Control": "private, max-age=60"}


class RunConvertor(Convertor[str]):
    """A run's id in an address; `/training/form` and its like are other routes."""

    regex = RUN.pattern

    def convert(self, value: str) -> str:
        """As it stands."""
        return value

    def to_string(self, value: str) -> str:
        """As it stands."""
        return value


register_url_convertor("run", RunConvertor())


class Again(BaseModel):
    """`seed`: none for the same one, -1 for a new one."""

    seed: Annotated[int | None, Field(ge=-1, lt=2**32)] = None


class Published(BaseModel):
    """Which snapshot, by its step, and the name of the file, without its ending."""

    snapshot: Annotated[int, Field(ge=0, lt=10**9)]
    name: Annotated[str, Field(max_length=200)] = ""


class Evaluated(BaseModel):
    """The fields of `EvaluationRequest`, which checks them."""

    snapshot: int = -1
    pack: Annotated[str, Field(max_length=100)] = "quick"
    pictures: int = 8
    seed: int = 1


@hookimpl
def register_routes() -> list[Routes]:
    """Always served: the page lives on them."""
    return [Routes(name="training", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/api/v1/training")
    _add_beginning(router, studio)
    _add_looking(router, studio)
    _add_files(router, studio)
    _add_steering(router, studio)
    _add_going_on(router, studio)
    _add_trash(router, studio)
    return router


def _add_beginning(router: APIRouter, studio: Studio) -> None:
    @router.post("")
    def begin(body: PlanBody, owner: Owner) -> dict[str, Any]:  # pyright: ignore[reportInvalidTypeForm]
        """Queue a training. Pictures are ids of `/api/v1/inputs`; a value of 0 or "" means the usual one."""
        return run_view(studio, studio.trainings.begin(plan_of(body), owner))

    @router.post("/measure")
    def measure(body: PlanBody, owner: Owner) -> dict[str, Any]:  # pyright: ignore[reportInvalidTypeForm]
        """Take a few steps only, to say how long it takes and how much memory and disk it needs: `measure` of the view."""
        return run_view(studio, studio.trainings.begin(plan_of(body, dry=True), owner))


def _add_looking(router: APIRouter, studio: Studio) -> None:
    streams = OpenStreams()

    @router.get("")
    def every(
        owner: Owner,
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 50,
        before: Annotated[str, Query(max_length=100)] = "",
    ) -> dict[str, Any]:
        """One's own trainings, newest first; `before`: the last one of the page before."""
        return {"runs": [run_view(studio, one) for one in studio.trainings.every(owner, limit, before)]}

    @router.get("/{run:run}")
    def one(run: str, owner: Owner) -> dict[str, Any]:
        """A training with its plan, previews, files, and what was measured."""
        return run_view(studio, studio.trainings.one(run, owner))

    @router.get("/{run:run}/log")
    def log(run: str, owner: Owner, after: Annotated[int, Query(ge=0, lt=10**9)] = 0) -> dict[str, Any]:
        """The numbers of the steps behind `after`: at most 2000, evenly chosen, the first and the last among them."""
        return {"after": after, "numbers": numbers(studio.trainings.one(run, owner).folder.log, after)}

    @router.get("/{run:run}/events")
    def events(
        run: str,
        owner: Owner,
        client: Client,
        after: Annotated[int, Query(ge=0, lt=10**9)] = 0,
        last_event_id: Annotated[str, Header(max_length=20)] = "",
    ) -> Response:
        """Server-sent events until the training is over.

        `numbers` {after, numbers}: replaces what was told behind step `after`; its event id is the last step, by which
        a reader who comes back goes on. `status`: the view, when it changes. `preview` {step, pictures}. `end`: the view.
        """
        studio.trainings.one(run, owner)
        behind = int(last_event_id) if last_event_id.isdecimal() else after
        return EventStream(training_news(studio, run, owner, behind), streams, client)


def _add_files(router: APIRouter, studio: Studio) -> None:
    @router.get("/{run:run}/files/{path:path}")
    def file(run: str, path: str, owner: Owner) -> Response:
        """A file of the run's folder: pictures as trained on, previews, snapshots, the log, tables."""
        found, kind = studio.trainings.one(run, owner).folder.file(path)
        shown = "inline" if kind.startswith("image/") else "attachment"
        return FileResponse(found, media_type=kind, filename=found.name, content_disposition_type=shown, headers=CACHED)

    @router.get("/{run:run}/results/{name}")
    def result(run: str, name: str, owner: Owner) -> Response:
        """A file that the training made, to take along."""
        found = studio.trainings.result(run, name, owner)
        return FileResponse(found, media_type="application/octet-stream", filename=found.name)


def _add_steering(router: APIRouter, studio: Studio) -> None:
    @router.post("/{run:run}/sample")
    def sample(run: str, owner: Owner) -> dict[str, Any]:
        """Draw the previews now."""
        return run_view(studio, studio.trainings.steer(run, "sample", owner))

    @router.post("/{run:run}/save")
    def save(run: str, owner: Owner) -> dict[str, Any]:
        """Keep a snapshot and what is needed to go on, now."""
        return run_view(studio, studio.trainings.steer(run, "save", owner))

    @router.post("/{run:run}/finish")
    def finish(run: str, owner: Owner) -> dict[str, Any]:
        """End here, with its results."""
        return run_view(studio, studio.trainings.steer(run, "finish", owner))

    @router.post("/{run:run}/pause")
    def pause(run: str, owner: Owner) -> dict[str, Any]:
        """Stop within one step and keep what is needed to go on; gives the device back."""
        return run_view(studio, studio.trainings.pause(run, owner))

    @router.post("/{run:run}/stop")
    def stop(run: str, owner: Owner) -> dict[str, Any]:
        """Stop within one step, without results; the snapshots stay. Ends a running evaluation too."""
        return run_view(studio, studio.trainings.stop(run, owner))


def _add_going_on(router: APIRouter, studio: Studio) -> None:
    @router.post("/{run:run}/resume")
    def resume(run: str, owner: Owner) -> dict[str, Any]:
        """Go on where it was paused, stopped or failed."""
        return run_view(studio, studio.trainings.resume(run, owner))

    @router.post("/{run:run}/again")
    def again(run: str, owner: Owner, body: Again | None = None) -> dict[str, Any]:
        """The same training once more, as a new run."""
        return run_view(studio, studio.trainings.again(run, owner, body.seed if body else None))

    @router.post("/{run:run}/evaluate")
    def evaluate(run: str, owner: Owner, body: Evaluated | None = None) -> dict[str, Any]:
        """Measure the result or a snapshot; `evaluating` of the view says how far it is, `evaluation` what came out."""
        asked = EvaluationRequest(run=run, **(body or Evaluated()).model_dump())
        return run_view(studio, studio.trainings.evaluate(asked, owner))

    @router.post("/{run:run}/publish")
    def publish(run: str, body: Published, owner: Owner) -> dict[str, Any]:
        """Copy a snapshot to the networks, embeddings or checkpoints, where pictures can be made with it."""
        return {"files": studio.trainings.publish(run, body.snapshot, body.name, owner)}


def _add_trash(router: APIRouter, studio: Studio) -> None:
    @router.delete("/{run:run}")
    def remove(run: str, owner: Owner) -> dict[str, str]:
        """Delete a run's folder, not the networks it made; `token` brings it back for a day."""
        return {"token": studio.trainings.remove(run, owner)}

    @router.post("/trash/{token}/restore")
    def restore(token: str) -> dict[str, Any]:
        """Bring a deleted run back."""
        return run_view(studio, studio.trainings.restore(token))
