"""Where requests come in: texts and names resolved, values checked, then queued. What cannot be done is refused here."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modules.core.errors import InvalidRequest, NoModel, NotFound, Problem
from modules.core.plugins import Plugins
from modules.core.requests import (
    EditRequest,
    ImageRequest,
    InterrogateRequest,
    MergeRequest,
    ModelRecord,
    Request,
    UpscaleRequest,
)
from modules.core.training import EvaluationRequest, TrainingPlan
from modules.services.gallery import Gallery
from modules.services.inputs import Inputs
from modules.services.queue import Queue
from modules.services.request_defaults import defaults_from
from modules.services.resolving import Resolver
from modules.services.settings import Settings
from modules.services.styles import Styles
from modules.services.texts import resolved as with_texts
from modules.services.training.estimates import estimate
from modules.services.wildcards import Wildcards
from modules.storage.records import Job

KINDS: dict[type[Any], str] = {
    ImageRequest: "image",
    EditRequest: "edit",
    UpscaleRequest: "upscale",
    InterrogateRequest: "interrogate",
    MergeRequest: "merge",
    TrainingPlan: "train",
    EvaluationRequest: "evaluate",
}
LABEL = 100
MODEL = "sd_model_checkpoint"
CHECKPOINTS = {"checkpoint", "diffusers"}  # formats


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Accepts requests. Safe from any thread; blocks for milliseconds, at the very first start until an engine is up."""

    queue: Queue
    gallery: Gallery
    inputs: Inputs
    resolver: Resolver
    settings: Settings
    styles: Styles
    wildcards: Wildcards
    plugins: Plugins

    def submit(self, request: Request, *, owner: str = "", id: str = "") -> Job:
        """Queue a request; durable when this returns. Its class decides the kind of job.

        Raises InvalidRequest (nothing is queued), QueueFull, StorageFailed (disk full).
        """
        request = self.plugins.pass_along("request_received", request)
        if isinstance(request, TrainingPlan | EvaluationRequest):
            request = self._of_a_run(request, owner)
        request = self.resolver.resolved(request.checked())
        if isinstance(request, ImageRequest):
            strip = bool(self.settings.get("enable_prompt_comments"))
            request = with_texts(request, self.styles, self.wildcards, strip_comments=strip)
        request = request.checked()
        self._check_inputs(request)
        self.gallery.check_room(self._bytes_for(request))
        if isinstance(request, TrainingPlan):
            self._hold_model(request)
        return self.queue.submit(KINDS[type(request)], request, owner=owner, label=_label(request), id=id)

    def current_model(self) -> ModelRecord:
        """The model that draws when a request names none. Raises NoModel when there is none."""
        return self.resolver.current_model()

    def defaults(self, model: ModelRecord | None = None, kind: type[ImageRequest] = ImageRequest) -> Any:
        """A request as the settings and the model (the current one) suggest it, for a face to fill in."""
        if model is None:
            try:
                model = self.current_model()
            except NoModel:
                model = ModelRecord(name="", path="", title="", size=0, modified=0)
        values: dict[str, Any] = {"model": model.title, "width": model.width, "height": model.height}
        return kind(**(values | defaults_from(self.settings, kind)))

    def _of_a_run(self, request: TrainingPlan | EvaluationRequest, owner: str) -> TrainingPlan | EvaluationRequest:
        """A request that goes on with a training, or measures one, names one of the same owner; its model is that one's."""
        if not request.run:
            return request
        try:
            plan = self.queue.job(request.run, owner).request
        except NotFound:
            plan = None
        if not isinstance(plan, TrainingPlan):
            raise InvalidRequest(Problem(field="run", message=f"There is no training {request.run[:80]!r}."))
        return replace(request, model=plan.model)

    def _hold_model(self, plan: TrainingPlan) -> None:
        """A checkpoint that comes out of it must not become the one that draws because its name is the first of all."""
        if CHECKPOINTS & {*plan.formats} and not self.settings.get(MODEL):
            self.settings.set({MODEL: self.resolver.current_model().title})

    def _bytes_for(self, request: Request) -> int:
        """What it leaves on the disk, where that is much."""
        if not isinstance(request, TrainingPlan) or request.dry:
            return 0
        model = self.resolver.model(request.model)
        return estimate(request, model.size, Path()).disk

    def _check_inputs(self, request: Request) -> None:
        for id in request.inputs:
            try:
                self.inputs.path(id)
            except NotFound as error:
                problem = Problem(field=_field_of_input(request, id), message=f"{error} Upload the picture again.")
                raise InvalidRequest(problem) from error


def _field_of_input(request: Request, id: str) -> str:
    if isinstance(request, EditRequest):
        return "mask" if id == request.mask and id not in request.init_images else "init_images"
    if isinstance(request, TrainingPlan) and id not in request.pictures:
        return "class_pictures"
    return "picture" if isinstance(request, InterrogateRequest) else "pictures"


def _label(request: Request) -> str:
    """What lists of jobs show."""
    if isinstance(request, ImageRequest):
        return " ".join(request.prompt.split())[:LABEL]
    if isinstance(request, UpscaleRequest):
        return f"Enlarge {request.names[0] if request.names else 'a picture'}"[:LABEL]
    if isinstance(request, MergeRequest):
        return f"Merge {request.model_a} and others"[:LABEL]
    if isinstance(request, TrainingPlan):
        return f"{'Measure a training of' if request.dry else 'Train'} {_subject(request)}"[:LABEL]
    if isinstance(request, EvaluationRequest):
        return "Evaluate a training"
    return "Describe a picture"


def _subject(plan: TrainingPlan) -> str:
    words = f"{plan.identifier} {plan.class_noun}".strip()
    return plan.name or words or plan.method
