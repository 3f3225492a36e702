"""`/sdapi/v1`: the checkpoints, and which one is in memory."""

from typing import Any

from fastapi import APIRouter

from modules.core.extension_points import Routes, hookimpl
from modules.core.requests import ModelRecord
from modules.services.studio import Studio
from modules.web.http.limits import new_router


@hookimpl
def register_routes() -> list[Routes]:
    """With --api or --nowebui."""
    return [Routes(name="sdapi models", build=build, api=True)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/sdapi/v1")

    @router.get("/sd-models")
    def sd_models() -> list[dict[str, Any]]:
        """Checkpoints that can be used; hashes are null until a file has been read."""
        return [_model_view(record) for record in studio.library.models() if not record.problem]

    @router.post("/refresh-checkpoints")
    def refresh_checkpoints() -> None:
        """Look at the folders again."""
        studio.library.refresh()

    @router.post("/unload-checkpoint")
    def unload_checkpoint() -> dict[str, Any]:
        """Give the memory back."""
        studio.engines.unload()
        return {}

    @router.post("/reload-checkpoint")
    def reload_checkpoint() -> dict[str, Any]:
        """Have the current checkpoint in memory."""
        studio.engines.load(studio.desk.current_model())
        return {}

    return router


def _model_view(record: ModelRecord) -> dict[str, Any]:
    return {
        "title": record.title,
        "model_name": record.name.replace("/", "_").replace("\\", "_"),
        "hash": record.short_hash or None,
        "sha256": record.sha256 or None,
        "filename": record.path,
        "config": None,
    }
