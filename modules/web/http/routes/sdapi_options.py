"""`/sdapi/v1`: settings and the command line, as clients of the field read and change them."""

from typing import Any

from fastapi import APIRouter

from modules.core.errors import NoModel, UnknownName
from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.web.http.answers import KnownFault
from modules.web.http.limits import new_router
from modules.web.http.sdapi_settings import HASH, IGNORED, MODEL, checked_setting, folders_told
from modules.web.http.views import flags_view


@hookimpl
def register_routes() -> list[Routes]:
    """With --api or --nowebui."""
    return [Routes(name="sdapi options", build=build, api=True)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/sdapi/v1")

    @router.get("/options")
    def options() -> dict[str, Any]:
        """Every setting, and where pictures go. `sd_model_checkpoint` is the model that draws now, its hash beside it."""
        known: dict[str, Any] = studio.settings.all() | folders_told(studio.places)
        try:
            model = studio.desk.current_model()
        except NoModel:
            return known | {HASH: None}
        return known | {MODEL: model.title, HASH: model.sha256 or None}

    @router.post("/options")
    def set_options(asked: dict[str, Any]) -> None:
        """Change some settings, all or none; a new checkpoint is loaded before this answers."""
        told = folders_told(studio.places)
        wanted = {
            name: value
            for name, value in asked.items()
            if name not in IGNORED and not (name in told and value == told[name])
        }
        news = {name: checked_setting(name, value, studio) for name, value in wanted.items()}
        if MODEL in news:
            news[MODEL] = _loaded(studio, str(news[MODEL]))
        studio.settings.set(news)

    @router.get("/cmd-flags")
    def cmd_flags() -> dict[str, Any]:
        """What the server was started with, passwords left out."""
        return flags_view(studio.flags)

    return router


def _loaded(studio: Studio, name: str) -> str:
    """The title of a model that is in memory now. Nothing has been changed when this raises."""
    if not name:
        return ""
    try:
        record = studio.library.find(name)
    except UnknownName as error:
        raise KnownFault("RuntimeError", f"model {name[:200]!r} not found") from error
    studio.engines.load(record)
    return record.title
