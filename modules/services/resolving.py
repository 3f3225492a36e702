"""Names in a request brought to the ones that exist: models, samplers, schedules, upscalers; and seeds drawn."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from modules.core.errors import AtelierError, InvalidRequest, NoModel, Problem, UnknownName
from modules.core.events import Choice
from modules.core.image_fields import SAME
from modules.core.named import Names, folded
from modules.core.requests import (
    ImageRequest,
    InterrogateRequest,
    MergeRequest,
    ModelRecord,
    UpscaleRequest,
)
from modules.core.training import EvaluationRequest, TrainingPlan
from modules.services.catalogue import CatalogueKeeper
from modules.services.library import Library
from modules.services.settings import Settings
from modules.services.shelf import Shelf
from modules.services.training.defaults import resolved_plan
from modules.services.training.models import check_trainable
from modules.services.training.publish import checked_name

FIRST_START = 60.0  # seconds to wait for the very first engine's list of samplers
LATENT_UPSCALERS = (
    "Latent",
    "Latent (antialiased)",
    "Latent (bicubic)",
    "Latent (bicubic antialiased)",
    "Latent (nearest)",
    "Latent (nearest-exact)",
)
OWN_VAE = ("Automatic", "None")

R = TypeVar("R")


class Resolver:
    """Looks up what a request names. All methods raise InvalidRequest with every field that names nothing."""

    def __init__(self, library: Library, shelf: Shelf, catalogue: CatalogueKeeper, settings: Settings) -> None:
        self._library, self._shelf, self._catalogue, self._settings = library, shelf, catalogue, settings

    def resolved(self, request: Any) -> Any:
        """The request with names as lists show them and seeds of 0 or more."""
        if isinstance(request, ImageRequest):
            return self._drawing(request)
        if isinstance(request, UpscaleRequest):
            self._catalogue.wait(FIRST_START)
            return _changed(request, {"upscaler_1": self._upscaler, "upscaler_2": self._upscaler})
        if isinstance(request, MergeRequest):
            models = dict.fromkeys(("model_a", "model_b", "model_c"), self._other_model)
            return _changed(request, {**models, "vae": self._vae})
        if isinstance(request, TrainingPlan):
            return self._training(request)
        if isinstance(request, InterrogateRequest | EvaluationRequest):
            return _changed(request, {"model": self._model})
        return request

    def model(self, name: str) -> ModelRecord:
        """The checkpoint with this title or name. Raises UnknownName."""
        return self._library.find(name)

    def current_model(self) -> ModelRecord:
        """The model that draws when a request names none: the chosen one, --ckpt, else the first usable.

        Raises NoModel when there is none.
        """
        chosen = str(self._settings.get("sd_model_checkpoint"))
        if chosen:
            try:
                return self._library.find(chosen)
            except UnknownName:
                pass  # it has been removed or renamed since: what is there is better than nothing
        usable = [record for record in self._library.models() if not record.problem]
        if not usable:
            raise NoModel("There is no model yet: put a .safetensors checkpoint into models/Stable-diffusion.")
        return usable[0]

    def _drawing(self, request: ImageRequest) -> ImageRequest:
        self._catalogue.wait(FIRST_START)
        request = _with_schedule_of_its_own(request, self._catalogue)
        changes: dict[str, Callable[[str], str]] = {
            "model": self._model,
            "hr_model": self._other_model,
            "refiner_model": self._other_model,
            "vae": self._vae,
        }
        if self._catalogue.now().samplers:
            samplers, schedules = self._catalogue.samplers(), self._catalogue.schedules()
            changes |= {
                "sampler": lambda name: samplers.find(name).name,
                "hr_sampler": lambda name: "" if _same(name) else samplers.find(name).name,
                "schedule": lambda name: _schedule(name, schedules),
                "hr_schedule": lambda name: "" if _same(name) else _schedule(name, schedules),
                "guidance": lambda name: self._guidance().find(name).name if self._catalogue.now().guidance else name,
            }
        if request.enable_hr:
            changes["hr_upscaler"] = self._hires_upscaler
        request = self._with_eta(_changed(request, changes))
        return replace(request, **_seeds(request))

    def _training(self, plan: TrainingPlan) -> TrainingPlan:
        """What goes on with a run is complete already; it may have become known under another name only."""
        if plan.run:
            return _changed(plan, {"model": self._model})
        self._catalogue.wait(FIRST_START)
        changes: dict[str, Callable[[str], str]] = {"model": self._model, "name": checked_name}
        methods = self._catalogue.now().training_methods
        if self._catalogue.now().samplers:
            samplers = self._catalogue.samplers()
            changes |= dict.fromkeys(("class_sampler", "preview_sampler"), lambda name: samplers.find(name).name)
        plan = _changed(plan, changes)
        record = self._library.find(plan.model)
        check_trainable(record)
        plan = resolved_plan(plan, record, methods)
        return replace(plan, seed=secrets.randbelow(2**32) if plan.seed == -1 else plan.seed)

    def _with_eta(self, request: ImageRequest) -> ImageRequest:
        """The field has one setting for DDIM and one for all others; a default is left to the sampler."""
        known = {one.name: one.options for one in self._catalogue.now().samplers}
        if request.eta is not None or "eta" not in known.get(request.sampler, ()):
            return request
        name = "eta_ddim" if request.sampler.startswith("DDIM") else "eta_ancestral"
        value = float(self._settings.get(name))
        return request if value == self._settings.registered[name].default else replace(request, eta=value)

    def _model(self, name: str) -> str:
        record = self._library.find(name) if name else self.current_model()
        if record.problem:
            raise AtelierError(record.problem)
        return record.title

    def _other_model(self, name: str) -> str:
        return "" if _same(name) or name == "None" else self._model(name)

    def _vae(self, name: str) -> str:
        plain = next((one for one in OWN_VAE if folded(one) == folded(name or "Automatic")), "")
        return plain or self._shelf.find("vae", name).name

    def _upscaler(self, name: str) -> str:
        known = Names("upscaler", self._catalogue.now().upscalers)
        try:
            return known.find(name or "None").name
        except UnknownName:
            return self._shelf.find("upscaler", name).name

    def _hires_upscaler(self, name: str) -> str:
        latent = next((one for one in LATENT_UPSCALERS if folded(one) == folded(name)), "")
        return latent or self._upscaler(name)

    def _guidance(self) -> Names[Choice]:
        return Names("guidance", self._catalogue.now().guidance)


def _seeds(request: ImageRequest) -> dict[str, int]:
    drawn = {"seed": request.seed, "subseed": request.subseed}
    wanted = ("seed", "subseed") if request.subseed_strength else ("seed",)
    return drawn | {name: secrets.randbelow(2**32) for name in wanted if drawn[name] == -1}


def _with_schedule_of_its_own(request: ImageRequest, catalogue: CatalogueKeeper) -> ImageRequest:
    """Accepts the old joined names ("DPM++ 2M Karras"): their end is a schedule."""
    samplers, schedules = catalogue.samplers(), catalogue.schedules()
    for sampler, schedule in (("sampler", "schedule"), ("hr_sampler", "hr_schedule")):
        name: str = getattr(request, sampler)
        if not _known(samplers, name):
            head, _, tail = name.rpartition(" ")
            if _known(samplers, head) and _known(schedules, tail):
                request = replace(request, **{sampler: head, schedule: tail})
    return request


def _known(names: Names[Choice], name: str) -> bool:
    try:
        names.find(name)
    except UnknownName:
        return False
    return True


def _same(name: str) -> bool:
    return not name or folded(name).startswith(folded(SAME))


def _schedule(name: str, schedules: Names[Choice]) -> str:
    return "Automatic" if folded(name) in ("", "automatic") else schedules.find(name).name


def _changed(request: R, changes: dict[str, Callable[[str], str]]) -> R:
    """The request with each named field changed. All that cannot be done is said at once."""
    values: dict[str, str] = {}
    problems: list[Problem] = []
    for field, change in changes.items():
        try:
            values[field] = change(getattr(request, field))
        except AtelierError as error:
            problems.append(Problem(field=field, message=_sentence(error)))
    if problems:
        raise InvalidRequest(*problems)
    return replace(request, **values)  # type: ignore[type-var]


def _sentence(error: AtelierError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")
