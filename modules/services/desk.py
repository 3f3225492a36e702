"""Where requests come in: defaults filled, names resolved, values checked, then queued. What cannot be done is refused here."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from modules.core.errors import AtelierError, InvalidRequest, NoModel, Problem, UnknownName
from modules.core.named import folded
from modules.core.plugins import Plugins
from modules.core.requests import ImageRequest, ModelRecord
from modules.services.catalogue import CatalogueKeeper
from modules.services.gallery import Gallery
from modules.services.library import Library
from modules.services.queue import Queue
from modules.services.settings import Settings
from modules.storage.records import Job

FIRST_START = 60.0  # seconds to wait for the very first engine's list of samplers
LABEL = 100


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Accepts requests. Safe from any thread; blocks for milliseconds, at the very first start until an engine is up."""

    queue: Queue
    gallery: Gallery
    library: Library
    settings: Settings
    catalogue: CatalogueKeeper
    plugins: Plugins

    def submit(self, request: ImageRequest, *, owner: str = "", id: str = "") -> Job:
        """Queue a request; durable when this returns.

        Raises InvalidRequest (nothing is queued), QueueFull, StorageFailed (disk full).
        """
        request = self.plugins.pass_along("request_received", request)
        request = self._resolved(request.checked()).checked()
        self.gallery.check_room()
        label = " ".join(request.prompt.split())[:LABEL]
        return self.queue.submit("image", request, owner=owner, label=label, id=id)

    def current_model(self) -> ModelRecord:
        """The model that draws when a request names none: the chosen one, --ckpt, else the first usable.

        Raises NoModel when there is none.
        """
        chosen = str(self.settings.get("sd_model_checkpoint"))
        if chosen:
            try:
                return self.library.find(chosen)
            except UnknownName:
                pass  # it has been removed or renamed since: what is there is better than nothing
        usable = [record for record in self.library.models() if not record.problem]
        if not usable:
            raise NoModel("There is no model yet: put a .safetensors checkpoint into models/Stable-diffusion.")
        return usable[0]

    def defaults(self, model: ModelRecord | None = None) -> ImageRequest:
        """A request as the settings and the model (the current one) suggest it, for a face to fill in."""
        if model is None:
            try:
                model = self.current_model()
            except NoModel:
                model = ModelRecord(name="", path="", title="", size=0, modified=0)
        get = self.settings.get
        return ImageRequest(
            model=model.title,
            width=model.width,
            height=model.height,
            clip_skip=int(get("CLIP_stop_at_last_layers")),
            emphasis=str(get("emphasis")),
            comma_backtrack=int(get("comma_padding_backtrack")),
            noise_source=str(get("randn_source")),
            save=bool(get("samples_save")),
        )

    # -- inside ------------------------------------------------------------------------------------------------------

    def _resolved(self, request: ImageRequest) -> ImageRequest:
        problems: list[Problem] = []

        def tried(field: str, change: Callable[[ImageRequest], ImageRequest]) -> None:
            nonlocal request
            try:
                request = change(request)
            except AtelierError as error:
                problems.append(Problem(field=field, message=_sentence(error)))

        tried("model", self._with_model)
        if self.catalogue.wait(FIRST_START).samplers:
            tried("sampler", self._with_sampler)
            tried("schedule", self._with_schedule)
        if problems:
            raise InvalidRequest(*problems)
        seed = secrets.randbelow(2**32) if request.seed == -1 else request.seed
        return replace(request, seed=seed)

    def _with_model(self, request: ImageRequest) -> ImageRequest:
        record = self.library.find(request.model) if request.model else self.current_model()
        if record.problem:
            raise AtelierError(record.problem)
        return replace(request, model=record.title)

    def _with_sampler(self, request: ImageRequest) -> ImageRequest:
        """Accepts the old joined names ("DPM++ 2M Karras"): their end is a schedule."""
        samplers = self.catalogue.samplers()
        try:
            sampler = samplers.find(request.sampler)
        except UnknownName:
            head, _, tail = request.sampler.rpartition(" ")
            try:
                sampler, schedule = samplers.find(head), self.catalogue.schedules().find(tail)
            except UnknownName:
                pass
            else:
                return self._with_eta(replace(request, sampler=sampler.name, schedule=schedule.name))
            raise
        return self._with_eta(replace(request, sampler=sampler.name))

    def _with_eta(self, request: ImageRequest) -> ImageRequest:
        """The field has one setting for DDIM and one for all others; a default is left to the sampler."""
        if request.eta is not None or "eta" not in self.catalogue.samplers()[request.sampler].options:
            return request
        name = "eta_ddim" if request.sampler.startswith("DDIM") else "eta_ancestral"
        value = float(self.settings.get(name))
        return request if value == self.settings.registered[name].default else replace(request, eta=value)

    def _with_schedule(self, request: ImageRequest) -> ImageRequest:
        if folded(request.schedule) in ("", "automatic"):
            return replace(request, schedule="Automatic")
        return replace(request, schedule=self.catalogue.schedules().find(request.schedule).name)


def _sentence(error: AtelierError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")
